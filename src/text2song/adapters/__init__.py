"""LoRA adapters as versioned artifacts."""
