"""Kyutai's tokenizer: a model of SentencePiece alone, without the files of transformers. Made as that library cuts a
text: one run of letters, with a space before it and none doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hugging_face.inputs.collate import Preprocessor
from nexus_torch.hugging_face.text.pieces import proto
from nexus_torch.hugging_face.text.vocabulary import check_size
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

from .layout import TEXT, settings

SPACE = "▁"
UNIGRAM, BPE = 1, 2
"""Kinds of SentencePiece that are read."""
OWN = 4
"""The kind of piece that stands in a text as it is."""


class Words(Preprocessor):
    """What makes inputs of samples, with the tokenizer that lies beside Kyutai's weights."""

    def words(self) -> Any:
        """A tokenizer.json, where somebody put one there, else Kyutai's own file."""
        file = self.home / str(settings(self.home).get("tokenizer_name", TEXT))
        if (self.home / "tokenizer.json").is_file() or not file.is_file():
            return super().words()
        return read(file)


def read(file: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in a model of SentencePiece. NexusError for a file that holds none."""
    check_size(file)
    try:
        return PreTrainedTokenizerFast(tokenizer_object=_made(proto(file.read_bytes())))
    except ValueError as error:
        raise NexusError(f"'{file}' is no tokenizer of Kyutai: {error}. Fetch the file again.") from error


def _made(said: Any) -> Tokenizer:
    learned, alike = said.trainer_spec, said.normalizer_spec
    found = Tokenizer(_model(said, learned))
    steps: list[Any] = [normalizers.Precompiled(alike.precompiled_charsmap)] if alike.precompiled_charsmap else []
    if alike.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    steps += [normalizers.Replace(" ", SPACE), *([normalizers.Prepend(SPACE)] if alike.add_dummy_prefix else [])]
    found.normalizer = normalizers.Sequence(steps)
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    found.decoder = decoders.Sequence(parts)
    found.add_tokens([AddedToken(each.piece, normalized=False) for each in said.pieces if each.type == OWN])
    return found


def _model(said: Any, learned: Any) -> Any:
    if not 0 <= learned.unk_id < len(said.pieces):
        raise ValueError("its token for what is not known is none of its pieces")
    if learned.model_type == UNIGRAM:
        scores = [(each.piece, each.score) for each in said.pieces]
        return models.Unigram(scores, learned.unk_id, learned.byte_fallback)
    if learned.model_type != BPE:
        raise ValueError("it cuts texts into words or letters")
    ids = {each.piece: at for at, each in enumerate(said.pieces)}
    unknown = said.pieces[learned.unk_id].piece
    return models.BPE(ids, generate_merges(ids), unk_token=unknown, fuse_unk=True, byte_fallback=learned.byte_fallback)
