"""What writes about a picture and was made for little else: captions, what stands in it."""

from __future__ import annotations

import transformers as hf

from .kind import Made, ids, kind
from .parts import BEGINS, ENDS, LARGE, sides, square, words
from .samples import answered, picture, read, written


def _paired(seen: hf.PreTrainedConfig, text: hf.PreTrainedConfig) -> hf.VisionEncoderDecoderModel:
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(seen, text)
    config.decoder_start_token_id = config.pad_token_id = 0
    return hf.VisionEncoderDecoderModel(config)


@kind(picture, answered)
def trocr_large() -> Made:
    """microsoft/trocr-large-handwritten, whole."""
    text = hf.TrOCRConfig(
        vocab_size=50265, d_model=1024, decoder_layers=12, decoder_attention_heads=16, decoder_ffn_dim=4096,
        cross_attention_hidden_size=1024,
    )  # fmt: skip
    pictures = hf.ViTImageProcessorPil(size=square(384))
    return _paired(hf.ViTConfig(image_size=384, **LARGE), text), hf.TrOCRProcessor(pictures, words())


@kind(picture, answered)
def donut() -> Made:
    """naver-clova-ix/donut-base-finetuned-cord-v2, half as wide again."""
    seen = hf.DonutSwinConfig(
        embed_dim=192, depths=[2, 2, 14, 2], num_heads=[6, 12, 24, 48], window_size=10, image_size=[1280, 960]
    )
    text = hf.MBartConfig(
        vocab_size=57580, d_model=1536, decoder_layers=4, decoder_attention_heads=16, decoder_ffn_dim=6144,
        add_cross_attention=True, is_decoder=True,
    )  # fmt: skip
    pictures = hf.DonutImageProcessorPil(size={"height": 1280, "width": 960})
    return _paired(seen, text), hf.DonutProcessor(pictures, words())


@kind(picture, read)
def blip_large() -> Made:
    """Salesforce/blip-image-captioning-large, whole."""
    text = {"vocab_size": 30524, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "encoder_hidden_size": 1024, "sep_token_id": 0, **ENDS}  # fmt: skip
    config = hf.BlipConfig(text_config=text, vision_config=LARGE | {"image_size": 384, "patch_size": 16})
    pictures = hf.BlipImageProcessorPil(size=square(384))
    return hf.BlipForConditionalGeneration(config), hf.BlipProcessor(pictures, words())


@kind(picture, read)
def git_large() -> Made:
    """microsoft/git-large-coco, whole."""
    seen = LARGE | {"image_size": 224, "patch_size": 14}
    text = {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12, **ENDS}
    config = hf.GitConfig(vision_config=seen, max_position_embeddings=1024, **text)
    return hf.GitForCausalLM(config), hf.GitProcessor(hf.CLIPImageProcessorPil(), words())


@kind(picture, written)
def blip2() -> Made:
    """Salesforce/blip2-opt-2.7b, 6 of 39 layers that see and 2 of 32 that write."""
    text = words("<image>")
    seen = {"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 6, "num_attention_heads": 16,
            "image_size": 224, "patch_size": 14}  # fmt: skip
    asked = {"hidden_size": 768, "encoder_hidden_size": 1408, "num_hidden_layers": 12}
    opt = hf.OPTConfig(
        vocab_size=50304, hidden_size=2560, ffn_dim=10240, num_hidden_layers=2, num_attention_heads=32,
        word_embed_proj_dim=2560,
    )  # fmt: skip
    config = hf.Blip2Config(
        vision_config=seen, qformer_config=asked, text_config=opt, **ids(text, {"image_token_index": "<image>"})
    )
    pictures = hf.BlipImageProcessorPil(size=square(224))
    return hf.Blip2ForConditionalGeneration(config), hf.Blip2Processor(pictures, text, num_query_tokens=32)


@kind(picture, written)
def florence2_large() -> Made:
    """florence-community/Florence-2-large, 6 of 12 layers on either side."""
    text = words(named={"image_token": "<image>"})
    shape = sides(layers=6, attention_heads=16, ffn_dim=4096)
    seen = {"embed_dim": [256, 512, 1024, 2048], "num_heads": [8, 16, 32, 64], "num_groups": [8, 16, 32, 64],
            "projection_dim": 1024, "max_position_embeddings": 50}  # fmt: skip
    config = hf.Florence2Config(
        text_config=hf.BartConfig(vocab_size=51289, d_model=1024, **shape, **BEGINS), vision_config=seen,
        **ids(text, {"image_token_id": "<image>"}),
    )  # fmt: skip
    pictures = hf.CLIPImageProcessorPil(size=square(768), do_center_crop=False)
    pictures.image_seq_length = 577
    return hf.Florence2ForConditionalGeneration(config), pictures, text
