"""The server's settings: built once, passed down as plain values."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.errors import InvalidSettings

_PREFIX = "STATECAST_"
# The environment's name for the settings file; every other STATECAST_ variable is a field below,
_CONFIG_VARIABLE = f"{_PREFIX}CONFIG"
# or the commands' that ask a server, which may stand beside it in one container.
_CLIENT_VARIABLES = {f"{_PREFIX}TOKEN", f"{_PREFIX}TOKEN_FILE"}


class Settings(BaseSettings):
    """A flag beats a `STATECAST_` variable, which beats the settings file, which beats the default."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    repository: str = Field(description="folder or fsspec URL that holds <model>/<version>/model.onnx")
    address: str = Field("127.0.0.1:50051", description="host:port to listen on; port 0 takes a free one")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where models run; cuda needs onnxruntime-gpu")
    intra_op_threads: int = Field(
        0, ge=0, description="threads inside one operator; 0 measures at load how many are fastest"
    )
    data_dir: Path = Field(Path("statecast-data"), description="folder for what the server itself keeps")
    store: str = Field(
        "sqlite:",
        description="where sessions outlive this process: sqlite:FILE (sqlite: alone is sessions.db in the "
        "data directory), valkey://HOST:PORT or redis://HOST:PORT; memory: ends them with it",
    )
    journal_rows: int = Field(
        1_000_000, ge=1, description="rows that a restart may have to step again, with SQLite"
    )
    durability: Literal["process", "power"] = Field(
        "process", description="what an answered row outlives in SQLite: kill -9, or also a power cut"
    )
    max_sessions: int = Field(
        1_000_000,
        ge=1,
        description="sessions per model, and tenant where there are any, in memory and in the store",
    )
    max_resident_sessions: int = Field(
        1_000_000, ge=1, description="sessions per model in memory; the longest idle leave for the store"
    )
    recent_rows: int = Field(
        0, ge=0, description="rows kept of each session in memory, for model versions that replay them"
    )
    seal_keys: Path | None = Field(
        None,
        description="file of keys that seal the states which callers carry (`statecast keys new FILE`); "
        "without it carry_state is refused",
    )
    watch_s: float = Field(
        10.0,
        ge=0,
        description="seconds between looks for new versions in the repository; 0 looks on SIGHUP only",
    )
    session_ttl_s: float = Field(
        7 * 86_400.0, gt=0, description="seconds without a row after which a session ends"
    )
    max_batch_size: int = Field(1024, ge=1, description="sessions advanced by one run of a model")
    max_queued_rows: int = Field(
        1_000_000, ge=1, description="rows that may wait per model; more are refused"
    )
    max_rows_per_chunk: int = Field(100_000, ge=1, description="rows of one session in one request")
    max_gap_steps: int = Field(1_000, ge=0, description="missing steps that one gap in time may insert")
    max_message_bytes: int = Field(64 * 2**20, ge=1024, description="largest request or response")
    drain_timeout_s: float = Field(
        30.0, ge=0, description="seconds that SIGTERM leaves to requests under way"
    )
    http_address: str = Field(
        "",
        description="host:port of the page, /livez, /readyz and /metrics; port 0 takes a free one, empty "
        "is off",
    )
    http_tls: bool = Field(
        False,
        description="speak TLS on http_address too, with tls_cert and tls_key; probes ask by https then",
    )
    metrics: bool | None = Field(
        None,
        description="answer /metrics; if unsaid, where only this machine can reach http_address, or with "
        "insecure",
    )
    page: bool | None = Field(
        None,
        description="show the page of live streams, sessions and models on http_address; if unsaid, where "
        "only this machine can reach it, or where callers show tokens and http_tls is set",
    )
    trace: str = Field(
        "",
        description="OpenTelemetry collector for spans (OTLP over gRPC), http://HOST:4317; empty is off",
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="share of calls traced whose caller has not decided it"
    )
    reflection: bool | None = Field(
        None,
        description="answer gRPC reflection, so that generic clients find the API; if unsaid, where callers "
        "show tokens, or only this machine can reach the address",
    )
    # Security: see docs/security.md.
    tls_cert: Path | None = Field(None, description="PEM certificate chain; read again when it changes")
    tls_key: Path | None = Field(None, description="PEM key of tls_cert, without a password")
    tls_client_ca: Path | None = Field(
        None, description="PEM certificates of authorities; callers without one of theirs are turned away"
    )
    tls_client_tenants: bool = Field(
        False, description="the common name of a caller's certificate is its tenant, where it shows no token"
    )
    tokens: Path | None = Field(
        None,
        description="file of tokens and their tenants (`statecast tokens new FILE`); callers must show one",
    )
    jwks: str = Field("", description="file or https URL with the public keys of those who sign tokens (JWT)")
    jwt_issuer: str = Field("", description="who must have signed a JWT (claim iss)")
    jwt_audience: str = Field("", description="whom a JWT must be for (claim aud)")
    jwt_tenant_claim: str = Field("tenant", description="the claim of a JWT that names its tenant")
    jwt_role_claim: str = Field("role", description="the claim of a JWT that holds predict or operate")
    max_model_bytes: int = Field(1 << 30, ge=1, description="size of a model file; larger ones are refused")
    max_connections: int = Field(
        16_384, ge=1, description="connections to the port; further ones are closed at once"
    )
    tenant_rows_per_s: float = Field(
        0.0, ge=0, description="rows a second that each tenant may send; 0 sets no bound"
    )
    admin_calls: bool | None = Field(
        None,
        description="take calls that load and unload models; if unsaid, from operators where callers show "
        "tokens, or from all where only this machine can reach the address",
    )
    insecure: bool = Field(
        False, description="listen in clear text where other machines can connect; for trusted networks"
    )
    log_format: Literal["console", "json"] = Field("console", description="how log lines are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")

    @property
    def has_tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self.tls_cert is not None

    @property
    def store_url(self) -> str:
        """`store` with its file named."""
        return f"sqlite:{self.data_dir / 'sessions.db'}" if self.store == "sqlite:" else self.store

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the settings file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def build(cls, flags: dict[str, Any], config: Path | None) -> "Settings":
        """Settings from flags, environment and file (`config`, or the one STATECAST_CONFIG names).

        Raises:
            InvalidSettings: an unknown name (with the nearest known one), or a value out of range.
        """
        _refuse_unknown_variables(set(cls.model_fields))
        file = config or (Path(os.environ[_CONFIG_VARIABLE]) if _CONFIG_VARIABLE in os.environ else None)
        if file is not None and not file.is_file():
            raise InvalidSettings(f"settings file {file}: no such file")

        class FromFile(cls):  # type: ignore[misc, valid-type]
            model_config = SettingsConfigDict(toml_file=file)

        try:
            return cls.model_construct(**FromFile(**flags).model_dump())
        except ValidationError as error:
            raise InvalidSettings("\n".join(_explain(fault, cls) for fault in error.errors())) from error
        except tomllib.TOMLDecodeError as error:
            raise InvalidSettings(f"settings file {file}: {error}") from error


def _refuse_unknown_variables(fields: set[str]) -> None:
    known = {_PREFIX + name.upper() for name in fields} | {_CONFIG_VARIABLE} | _CLIENT_VARIABLES
    for variable in sorted(os.environ):
        if variable.upper().startswith(_PREFIX) and variable.upper() not in known:
            raise InvalidSettings(f"{variable} is not a setting{_nearest(variable.upper(), known)}")


def _nearest(name: str, known: set[str]) -> str:
    matches = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else f"; known are {', '.join(sorted(known))}"


def _explain(fault: Any, settings: type[Settings]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"{name} is required: --{name} or {_PREFIX}{name.upper()}"
    if fault["type"] == "extra_forbidden":
        return f"{name} is not a setting{_nearest(name, set(settings.model_fields))}"
    return f"{name}: {fault['msg']}, found {fault['input']!r}"
