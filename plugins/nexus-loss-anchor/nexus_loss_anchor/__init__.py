"""A loss on hidden states: the student's layers agree with the teacher's in its principal subspace."""
