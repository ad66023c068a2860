"""What an operator may set; `skimflow serve --config FILE` reads it from YAML, SKIMFLOW_… variables override it."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from delivery.service.errors import BadRequest

CODEGENS = ("uproot", "uproot-raw", "python")


class Limits(BaseModel):
    """Bounds on what one request, one user and one file may ask; each can be other for a user (`users set`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = 16 * 1024 * 1024  # room for `files` URLs of 300 characters
    query_characters: int = 1_000_000
    query_depth: int = 500
    files: int = 50_000
    title_characters: int = 10_240
    running_files: int = 1000  # of one user at once
    open_requests: int = 10_000  # of one user, not ended
    stored_bytes: int | None = None  # of one user's results
    submits_per_minute: int = 1200
    calls_per_minute: int = 60_000
    streams: int = 256  # of server-sent events, of one user at one process
    file_seconds: float = 3600.0  # one try at one file
    read_seconds: float = 120.0  # one read of an input
    lookup_seconds: float = 300.0  # one dataset's lookup
    tries: int = 3
    range_bytes: int = 256 * 1024 * 1024  # larger files are cut into ranges of events of about so many bytes


class Inputs(BaseModel):
    """Which files requests may read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roots: tuple[Path, ...] = ()  # folders of the service's machine; none means no local file
    schemes: tuple[str, ...] = ("root", "https")
    hosts: tuple[str, ...] = ()  # patterns of hosts that may be asked even if their addresses are internal
    site_replicas: tuple[str, ...] = ()  # patterns of replicas to try first


class Upstream(BaseModel):
    """A ServiceX that runs the codegens which this service does not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    token_file: Path | None = None
    codegens: tuple[str, ...] = ("xaod", "atlasr21", "atlasr22", "atlasr25", "cms", "topcp")
    poll_seconds: float = 2.0  # so often it is asked how far requests are
    patience_seconds: float = 3600.0  # a request whose calls fail for so long ends


class Settings(BaseSettings):
    """All settings. `secret` signs tokens and makes the store's keys; without one, the data folder keeps one made."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SKIMFLOW_", env_nested_delimiter="__", secrets_dir=None
    )

    host: str = "127.0.0.1"
    port: int = 5000
    public_url: str | None = None  # what clients reach the service as, where a proxy hides it
    data: Path = Path("skimflow-service")  # database, store, secret, logs, where nothing else is said
    database: str | None = None  # SQLAlchemy URL; None: SQLite in the data folder
    store: str | None = None  # artifacts' URL; None: a folder in the data folder
    s3_public_url: str | None = None  # of a store on S3: the address that clients reach it at
    secret_file: Path | None = None
    sign_in: bool | None = None  # None: exactly if others can reach the service, at its address or its public_url
    scheduler: str | None = None  # address of a Dask scheduler; None: workers of our own
    workers: int | None = None  # of our own; None: one per core
    worker_memory: str = "auto"
    codegens: tuple[Literal["uproot", "uproot-raw", "python"], ...] = ("uproot", "uproot-raw")
    upstream: Upstream | None = None
    inputs: Inputs = Inputs()
    limits: Limits = Limits()
    result_days: float = 30.0  # results unused for longer are removed
    result_bytes: int | None = None  # the store's bound; the least recently used results go first
    dataset_days: float = 1.0  # so long a lookup is trusted
    rucio_account: str | None = None
    open_data_url: str | None = None
    shutdown_seconds: float = 30.0
    metrics_networks: tuple[IPv4Network | IPv6Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    @field_validator("data")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service: neither its address nor its `public_url` is another's."""
        public = urlsplit(self.public_url or "").hostname
        return _is_loopback(self.host) and (public is None or _is_loopback(public))

    @property
    def needs_sign_in(self) -> bool:
        """Whether calls need a token."""
        return (not self.loopback) if self.sign_in is None else self.sign_in

    @property
    def database_url(self) -> str:
        """Where the state is kept."""
        return self.database or f"sqlite:///{self.data / 'service.sqlite'}"

    @property
    def store_url(self) -> str:
        """Where results are kept."""
        return self.store or str(self.data / "store")


def load(config: Path | None = None, **given: Any) -> Settings:
    """Settings from what is given, else from SKIMFLOW_… variables, else from a YAML file.

    Raises BadRequest, with the name of each setting that is wrong.
    """

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, config)

    try:
        return FromFile(**given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadRequest(f"settings are not as they must be: {wrong}") from error
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise BadRequest(f"the settings cannot be read from {config}: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
