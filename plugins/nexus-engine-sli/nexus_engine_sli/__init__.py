"""Sequential Layer Ingestion: the engine that runs checkpoints."""

import os

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# Large tensors in large pages, which torch asks about once, at the first tensor of a process. What a layer computes
# leaves the heap behind it and comes back with the next one: 2.0 million page faults in 38 layers of 8 batches of
# 1024 tokens, .4 million in large pages; and whole pages leave fewer holes (467 MB at the highest instead of 576).

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
# oneDNN compiles a kernel for every size of a product and keeps 1024 of them, which it asks about once, at the first.
# Experts get another number of tokens each time: their kernels take 100 MB in a few layers and help nobody. To compile
# one anew takes a millisecond (24 experts in each of 7 layers, 32 short texts: 2 to 8 % of the time).
