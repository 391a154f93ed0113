"""Whether the packages of the extra `[grpc]` are there."""

from importlib.util import find_spec

from serving.errors import ConfigError


def check_installed() -> None:
    """Do nothing where gRPC can be served.

    Raises:
        ConfigError: a package is missing; the message says what to install.
    """
    for package, module in (("grpcio", "grpc"), ("protobuf", "google.protobuf")):
        try:
            is_there = find_spec(module) is not None
        except ModuleNotFoundError:
            is_there = False
        if not is_there:
            raise ConfigError(
                f"grpc: the configuration has a section [grpc], but the package {package} is not "
                "installed: install millhand[server,grpc], or remove the section"
            )
