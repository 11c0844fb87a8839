"""Content that every domain can carry: text and images, one or several."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from apps.core.spec import SpecModel


class URL(SpecModel):
    """A reference to content that lives elsewhere."""

    uri: str

    @model_validator(mode="before")
    @classmethod
    def tolerate_type(cls, data: Any) -> Any:
        """Older clients send ``type: "url"`` beside the address."""
        if isinstance(data, dict) and data.get("type") == "url":
            return {name: value for name, value in data.items() if name != "type"}
        return data


class TextContentItem(SpecModel):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class ImageSource(SpecModel):
    """Where an image comes from: an address, or its bytes in base64."""

    url: URL | None = None
    data: str | None = Field(default=None, json_schema_extra={"contentEncoding": "base64"})

    @model_validator(mode="after")
    def one_source(self) -> "ImageSource":
        """An image has exactly one source."""
        if (self.url is None) == (self.data is None):
            raise ValueError("give either 'url' or 'data'")
        return self


class ImageContentItem(SpecModel):
    """A picture."""

    type: Literal["image"] = "image"
    image: ImageSource


InterleavedContentItem = Annotated[ImageContentItem | TextContentItem, Field(discriminator="type")]
InterleavedContent = str | InterleavedContentItem | list[InterleavedContentItem]


def text_of(content: InterleavedContent | dict[str, Any] | list[Any] | None) -> str:
    """Return the words of a content, its pictures left out; accepts models and their JSON form."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return "\n".join(filter(None, (text_of(item) for item in content)))
    text = content.get("text") if isinstance(content, dict) else getattr(content, "text", None)
    return text or ""
