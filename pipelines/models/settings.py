"""The `models:` of corpus.yaml: which model, where it runs, how it is asked, what it costs."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.quantities import Seconds

ECHO_URL: Final = "echo:"
"""In place of the URL of an endpoint: the shipped server of rules (`pipelines.models.echo`)."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Settings):
    """What a model costs; what is not given counts as nothing."""

    currency: str = "USD"
    prompt: float = Field(default=0.0, ge=0)
    """A million tokens of prompts."""
    completion: float = Field(default=0.0, ge=0)
    """A million generated tokens."""
    gpu_hour: float = Field(default=0.0, ge=0)
    """One GPU for an hour; `engine: vllm` counts its GPUs while it works."""


class ModelConfig(_Settings):
    """One model."""

    engine: Literal["vllm", "endpoint"]
    """vllm: started here, once a machine; endpoint: a server that speaks the OpenAI protocol."""
    model: str = Field(min_length=1)
    """Name at the endpoint; of vllm a folder or `owner/name[@revision]`."""
    name: str | None = None
    """What documents and the journal call it; default: the last part of `model`. Another model
    needs another name: answers are found again by it."""
    url: str | None = None
    """endpoint: base address such as `http://host:8000/v1`, or `echo:` for a server of rules that
    ships with tokenmill."""
    api_key_env: str | None = None
    """endpoint: name of the environment variable that holds the key."""
    thinking: Literal["template", "soft", "none"] = "none"
    """How thinking is switched: by `enable_thinking` of the chat template, by `/think` and
    `/no_think` behind the question, or not at all."""
    in_flight: int = Field(default=256, ge=1, le=8192)
    """Most requests at once, of one worker process."""
    request_timeout: Seconds = Field(default=900.0, gt=0)
    start_timeout: Seconds = Field(default=1800.0, gt=0)
    """vllm: how long the server may take until it is healthy."""
    gpus: int = Field(default=1, ge=1)
    """vllm: GPUs of one server."""
    tensor_parallel: int = Field(default=1, ge=1)
    """vllm: GPUs that share one copy of the model; `gpus` is a multiple."""
    max_model_len: int | None = Field(default=None, ge=1)
    """vllm: longest prompt and answer together."""
    serve: dict[str, str | int | float | bool] = {}
    """vllm: further flags of `vllm serve`, without the dashes."""
    price: Price = Price()

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> Self:
        if self.engine == "endpoint" and not self.url:
            raise ValueError("`engine: endpoint` needs `url`, such as http://host:8000/v1 or echo:")
        if self.engine == "vllm" and self.url:
            raise ValueError(
                "`engine: vllm` starts its own server; leave `url` out, or name endpoint"
            )
        if self.gpus % self.tensor_parallel:
            raise ValueError(
                f"gpus {self.gpus} is no multiple of tensor_parallel {self.tensor_parallel}"
            )
        return self

    @property
    def identity(self) -> str:
        """What answers are filed under; neither address nor engine enters."""
        return self.name or Path(self.model.rstrip("/")).name
