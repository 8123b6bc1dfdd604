"""What is asked for: attributes, the model's sentence, sampling parameters, the specification of a take.

Knows nothing of servers, files or tensors.
"""
