"""Turns the published MiniLM weights (safetensors and a tokenizer file) into the format the embedded runtime loads."""

import json
import logging
from pathlib import Path
from typing import Any

# The tokenizer marks the inside of words; the runtime wants the start of words marked instead.
INSIDE = "##"
WORD_START = "\u2581"
SPECIAL_TOKENS = {
    "unk": "[UNK]",
    "sep": "[SEP]",
    "pad": "[PAD]",
    "mask": "[MASK]",
    "bos": "[CLS]",
    "eos": "[SEP]",
}


def convert(weights: Path, tokenizer: Path, config: Path, target: Path) -> None:
    """Write ``target`` as a Q8_0 GGUF; matrices are quantised, vectors and positions keep 32 bits."""
    import gguf

    logging.getLogger("gguf").setLevel(logging.WARNING)
    settings = json.loads(config.read_text())
    writer = gguf.GGUFWriter(target, "bert")
    _describe(writer, settings, gguf)
    _add_words(writer, json.loads(tokenizer.read_text()), gguf)
    _add_tensors(writer, weights, settings["num_hidden_layers"], gguf)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, settings: dict[str, Any], gguf: Any) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_block_count(settings["num_hidden_layers"])
    writer.add_context_length(settings["max_position_embeddings"])
    writer.add_embedding_length(settings["hidden_size"])
    writer.add_feed_forward_length(settings["intermediate_size"])
    writer.add_head_count(settings["num_attention_heads"])
    writer.add_layer_norm_eps(settings["layer_norm_eps"])
    writer.add_token_type_count(settings["type_vocab_size"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_words(writer: Any, tokenizer: dict[str, Any], gguf: Any) -> None:
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    words = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([word if word in special else _marked(word) for word in words])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if word in special else normal for word in words])
    for role, word in SPECIAL_TOKENS.items():
        getattr(writer, f"add_{role}_token_id")(ids[word])


def _marked(word: str) -> str:
    return word.removeprefix(INSIDE) if word.startswith(INSIDE) else WORD_START + word


def _add_tensors(writer: Any, weights: Path, layers: int, gguf: Any) -> None:
    import numpy
    from gguf.quants import quantize
    from safetensors.numpy import load_file

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    small = gguf.GGMLQuantizationType.Q8_0
    for published, tensor in load_file(weights).items():
        if published.endswith("position_ids") or published.startswith("pooler"):
            continue  # not used for mean pooling
        name = names.get_name(published, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"The weights hold a tensor nobody knows: {published}")
        numbers = tensor.astype(numpy.float32)
        if numbers.ndim == 1 or "position_embd" in name or "token_types" in name:
            writer.add_tensor(name, numbers)
        else:
            writer.add_tensor(name, quantize(numbers, small), raw_dtype=small)
