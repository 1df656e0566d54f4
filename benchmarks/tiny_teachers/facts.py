"""Where the facts on the registry's cards come from: looked up in stored copies of public pages and code (November
2026), or counted. What is not named here, as most licences, is from memory."""

from __future__ import annotations

COUNTED = "parameters counted by transformers from the published sizes"
FACTS: dict[str, str] = {
    "qwen2-5-0-5b": f"{COUNTED} (494,032,768)",
    "smollm3-3b": f"{COUNTED} (3,075,098,624)",
    "glm-4-9b": f"{COUNTED} (9,400,279,040)",
    "deepseek-v3": f"{COUNTED} (671,026,404,352, without the layer for further tokens)",
    "glm-4-7-flash": f"{COUNTED} (29,943,390,976, without the layer for further tokens; Ollama says 29.9B); licence in "
    "a copy of its README on the hub; class and names in llama.cpp's converter, SGLang and Ollama",
    "deepseek-r1-distill-llama-70b": f"{COUNTED} (70,553,706,496)",
    "qwen2-5-coder-7b": f"{COUNTED} (7,615,616,512); data, splits and tests in lm-evaluation-harness (humaneval, mbpp)",
    "agentcpm-explore": f"{COUNTED} of Qwen3-4B (4,022,468,096); the hub's page loads it with AutoModelForCausalLM, "
    "its card names Qwen3-4B-Thinking-2507 as its base and Apache-2.0 as its licence; GAIA, HLE, BrowseComp, "
    "WebWalkerQA and FRAMES are among its eight benchmarks (arXiv 2602.06485)",
    "translategemma-4b": "parameters and licence on the hub's pages (5B: 4.3B and a head that its file holds apart); "
    "its languages are those of WMT24++",
    "gemma-scope-2-27b": "names of its folders and the layers 16, 31, 40, 53 in several programs that read it; the "
    "model has 62 layers of width 5376, so that an autoencoder of F features has 2 x 5376 F + 2 F + 5376 parameters "
    "(176,198,912 with 16,384, and 11,276,391,680 with 1,048,576); licence on the page of the whole "
    "suite (google/gemma-scope-2, which lists it)",
    "step3-vl-10b": "model type, licence, sizes and names of its files on the hub's page (20.4 GB, bfloat16: what our "
    "composition with the values of its own configuration class takes, tests/teachers/test_real_shapes.py); beginnings "
    "of its names in a tiny copy's README and in programs that load it",
    "minicpm-v": "parameters, context and parts in Xinference's list; licence and name in programs that convert it",
    "llama-3-2-vision": f"{COUNTED} (10,670,220,835, as NVIDIA's page has it)",
    "siglip2-so400m": f"{COUNTED} (1,136,555,698); texts of 64 tokens in its documentation",
    "videomae-large": f"{COUNTED} (342,994,944, with the decoder of pre-training); licence on the hub's page",
    "qwen3-omni": "parameters as the hub lists them, talker included",
    "parakeet-tdt-0-6b": f"{COUNTED} (625,877,638)",
    "whisper-large-v3": f"{COUNTED} (1,543,490,560)",
    "vibevoice-asr": "parameters, model type and class on the hub's pages; licence on that of microsoft/VibeVoice-ASR, "
    "of which this is the copy in transformers' format (the original, of the class VibeVoiceForASRTraining, is not "
    "read: whoever names it is told so)",
    "personaplex-7b": "sizes, names, delays and all 475 tensors in a description of its header (8,371,408,896 numbers, "
    "bfloat16; tests/teachers/test_real_shapes.py); its config.json names the model type and the version, no more; "
    "licence and gate in a copy of its page; speaker similarity is what NVIDIA reports",
    "qwen3-tts-custom-voice": "parameters as the hub lists them, and counted from the values in qwen-tts (1.9B); names "
    "of speakers and of the configuration in several programs that read it",
    "qwen3-tts-voice-design": "parameters as the hub lists them",
    "qwen3-tts-tokenizer": "model type and licence on the page of a copy",
    "mimi": f"{COUNTED} (79,308,609, and 16.8 million of its codebooks)",
    "encodec-24khz": f"{COUNTED} (14,851,810)",
    "dac-44khz": f"{COUNTED} (76,620,777)",
    "stable-diffusion-3-medium": "from memory",
    "svd-xt-1-1": "layout of the pipeline on the page of its predecessor; licence in a copy of its own gate (the "
    "agreement of 2 February 2024; commercial use has another)",
}
