"""Arguments of forwards that no name tells, by model type: what the model's processor gives for one sample, every
argument with a batch dimension of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..making import Arguments, Maker
from . import films, pictures, series, sounds, texts

Special = Callable[[Maker], Arguments]
SPECIAL: Mapping[str, Special] = {
    **dict.fromkeys(("autoformer", "informer", "time_series_transformer"), series.series),
    **dict.fromkeys(("patchtst", "patchtsmixer"), series.channels),
    **dict.fromkeys(("timesfm", "timesfm2_5"), series.timesfm),
    **dict.fromkeys(("lightglue", "superglue", "efficientloftr"), pictures.pair),
    **dict.fromkeys(("kosmos-2", "kosmos-2.5"), texts.placed),
    **dict.fromkeys(("musicgen", "musicgen_melody"), sounds.tuned),
    **dict.fromkeys(("mimi_decoder", "pocket_tts_audio_tokenizer_decoder"), sounds.codes),
    **dict.fromkeys(("neucodec", "xcodec2"), sounds.coded),
    **dict.fromkeys(("gemma4_audio", "nemotron3_5_transcribe_audio"), sounds.mel),
    **dict.fromkeys(("granite_speech5_ctc", "granite_speech5_encoder"), sounds.stacked),
    **dict.fromkeys(("minicpm_ocr_vision", "minicpmv4_7_vision"), pictures.strip),
    **dict.fromkeys(("speecht5", "speech-encoder-decoder"), sounds.said),
    **dict.fromkeys(("instructblip", "instructblipvideo"), texts.questioned),
    **dict.fromkeys(("edgetam_video", "sam2_video", "sam3_tracker_video"), films.pointed),
    "blip_2_qformer": pictures.queries,
    "clap": sounds.heard,
    "clvp": sounds.spoken,
    "decision_transformer": series.episode,
    "depth_pro": pictures.pyramid,
    "idefics": texts.shown,
    "inkling2_vision": pictures.tokens_of_picture,
    "jev": texts.marked,
    "kimi_k25_vision": pictures.squares,
    "kyutai_speech_to_text": sounds.streams,
    "lxmert": pictures.regions,
    "muse_glimmer_assistant": texts.guided,
    "oneformer": pictures.tasked,
    "pe_audio": sounds.clip,
    "pi0": series.robot,
    "pp_ocrv5_mobile_rec": pictures.line_of_text,
    "qwen3_asr_encoder": sounds.windows,
    "sam3_video": films.named,
    "seggpt": pictures.painted,
    "tvp": pictures.filmed,
    "vibevoice_acoustic_tokenizer_decoder": sounds.latents,
    "vibevoice_acoustic_tokenizer_encoder": sounds.wave,
    "video_llama_3_vision": pictures.grids,
    "vitmatte": pictures.matte,
    "voxtral_realtime": sounds.at_once,
}
"""How the arguments of these are made."""
