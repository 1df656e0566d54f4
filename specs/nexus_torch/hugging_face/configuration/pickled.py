"""What is said of weights that are pickled: they are not read, and this converts them, where one trusts them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from nexus_torch import hub

MEANT = re.compile(
    r"(?!optimizer|scheduler|rng_state|scaler|training_args)(?:[\w.-]*(?:model|consolidated)[\w.-]*\.bin"
    r"|[\w.-]+\.(?:pt|pth))"
)
"""What weights are called; anything may end in ".bin", and training leaves pickles of its own."""
THEIRS, META = re.compile(r"pytorch_model[\w.-]*\.bin"), re.compile(r"consolidated[\w.-]*\.pth")
"""Files as transformers writes them, and as Meta does."""
TRANSFORMERS = (
    "import transformers as t; p = {place}; c = t.AutoConfig.from_pretrained(p); "
    "n = (c.architectures or ['AutoModel'])[0]; "
    "h = t.AutoModelForSeq2SeqLM if c.is_encoder_decoder else t.AutoModelForCausalLM; "
    "k = getattr(t, n, h if 'LMHead' in n else t.AutoModel); k.from_pretrained(p).save_pretrained(p)"
)
"""The Python that converts a folder of transformers, also one with an old name for its head (T5WithLMHeadModel)."""
PLAIN = """
import torch, safetensors.torch as s
p, found = {place}, {}
for name in {names}:
    d = torch.load(p + '/' + name, map_location='cpu', weights_only=True)
    while not any(torch.is_tensor(v) for v in d.values()):
        d = next(d[k] for k in ('state_dict', 'model', 'module', *d) if isinstance(d.get(k), dict))
    found.update({k: v.clone().contiguous() for k, v in d.items() if torch.is_tensor(v)})
s.save_file(found, p + '/model.safetensors', {'format': 'pt'})
"""
"""The Python that writes the tensors of pickles under their own names."""
CONSOLIDATED = """
import json, os, torch, safetensors.torch as s, transformers as t
p = {place}
parts = [torch.load(p + '/' + name, map_location='cpu', weights_only=True) for name in {names}]
has = os.path.exists(p + '/config.json')
c = t.AutoConfig.from_pretrained(p) if has else None
q = json.load(open(p + '/params.json')) if not has else {'dim': c.hidden_size, 'n_heads': c.num_attention_heads,
    'n_kv_heads': c.num_key_value_heads}
heads = q['n_heads']; pairs = q.get('n_kv_heads') or heads
def whole(k):
    v = [x[k] for x in parts]
    across = k.endswith(('wo.weight', 'w2.weight')) or (k.startswith('tok_') and v[0].shape[1] != q['dim'])
    return v[0] if v[0].ndim == 1 or len(v) == 1 else torch.cat(v, int(across))
def turned(w, n):
    return w.view(n, w.shape[0] // n // 2, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)
names = {'tok_embeddings': 'model.embed_tokens', 'output': 'lm_head', 'layers': 'model.layers', 'norm': 'model.norm',
    'attention.wq': 'self_attn.q_proj', 'attention.wk': 'self_attn.k_proj', 'attention.wv': 'self_attn.v_proj',
    'attention.wo': 'self_attn.o_proj', 'feed_forward.w1': 'mlp.gate_proj', 'feed_forward.w2': 'mlp.down_proj',
    'feed_forward.w3': 'mlp.up_proj', 'attention_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm'}
found = {}
for k in parts[0]:
    if k.startswith('rope.'): continue
    w, stem = whole(k), k.removesuffix('.weight')
    if stem.endswith(('.wq', '.wk')): w = turned(w, heads if stem.endswith('q') else pairs)
    if stem.startswith('layers.'):
        _, n, inner = stem.split('.', 2)
        stem = f'model.layers.{n}.{names[inner]}'
    else:
        stem = names[stem]
    found[stem + '.weight'] = w.clone().contiguous()
s.save_file(found, p + '/model.safetensors', {'format': 'pt'})
if not has:
    rope = {'rope_type': 'default', 'rope_theta': float(q.get('rope_theta', 10000.0))}
    if q.get('use_scaled_rope'):
        rope.update(rope_type='llama3', factor=32.0 if q['dim'] < 4096 else 8.0, low_freq_factor=1.0,
            high_freq_factor=4.0, original_max_position_embeddings=8192)
    t.LlamaConfig(hidden_size=q['dim'], num_hidden_layers=q['n_layers'], num_attention_heads=heads,
        num_key_value_heads=pairs, vocab_size=found['model.embed_tokens.weight'].shape[0],
        intermediate_size=found['model.layers.0.mlp.gate_proj.weight'].shape[0], rms_norm_eps=q['norm_eps'],
        rope_parameters=rope, max_position_embeddings=131072 if q.get('use_scaled_rope') else 8192,
        tie_word_embeddings='lm_head.weight' not in found, architectures=['LlamaForCausalLM']).save_pretrained(p)
"""
"""The Python that converts what Meta publishes of a Llama: its own names, pairs of rotary rows side by side, a file for
each of several processors."""


def found(home: Path) -> list[str]:
    """The pickled weights of a folder, or of what is behind it on a hub, in order."""
    listing = hub.behind(home)
    if listing is None:
        names: Iterable[str] = (path.name for path in home.iterdir()) if home.is_dir() else ()
    else:
        inner = home.absolute().relative_to(hub.snapshot_folder(listing.hub)).as_posix()
        start = "" if inner == "." else f"{inner}/"
        names = (name.removeprefix(start) for name in listing.files if name.startswith(start))
    return sorted(name for name in names if MEANT.fullmatch(name))


def refusal(home: Path, names: Sequence[str], program: str = "") -> str:
    """The words for these pickled files of a folder. `program` is Python with `{place}` for that folder's name, ""
    where the files say which; of what lies on the hub alone, a copy is fetched first."""
    listing = hub.behind(home)
    place, fetched = str(home), ""
    if listing is not None:
        place = listing.hub.name.rpartition("/")[2]
        fetched = f"  hf download {listing.hub.name} --revision {listing.commit} --local-dir {shlex.quote(place)}\n"
        inner = home.name if home.parent.parent.name == "snapshots" else ""     # one component of a pipeline
        place = f"{place}/{inner}" if inner else place
    chosen, used = _program(names, described=(home / "config.json").is_file()) if not program else (program, names)
    chosen = chosen.replace("{place}", repr(place)).replace("{names}", repr(list(used)))
    return (
        f"'{home}' holds its weights as {', '.join(names)}: pickles, which can run code when opened, so they are "
        f"not read. Convert them once, where you trust them{' (then name that folder)' if fetched else ''}:\n{fetched}"
        f"  python -c {shlex.quote(chosen)}"
    )


def _program(names: Sequence[str], *, described: bool) -> tuple[str, Sequence[str]]:
    """The Python that converts some files, and which of them it reads."""
    if described and any(THEIRS.fullmatch(name) for name in names):
        return TRANSFORMERS, names
    meta = [name for name in names if META.fullmatch(name)]
    return (CONSOLIDATED, meta) if meta else (PLAIN, names)
