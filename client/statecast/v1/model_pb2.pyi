from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpgradePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPGRADE_POLICY_UNSPECIFIED: _ClassVar[UpgradePolicy]
    UPGRADE_POLICY_PIN: _ClassVar[UpgradePolicy]
    UPGRADE_POLICY_CARRY: _ClassVar[UpgradePolicy]
    UPGRADE_POLICY_REPLAY: _ClassVar[UpgradePolicy]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PAST: _ClassVar[Role]
    ROLE_FUTURE: _ClassVar[Role]
    ROLE_STATIC: _ClassVar[Role]
UPGRADE_POLICY_UNSPECIFIED: UpgradePolicy
UPGRADE_POLICY_PIN: UpgradePolicy
UPGRADE_POLICY_CARRY: UpgradePolicy
UPGRADE_POLICY_REPLAY: UpgradePolicy
ROLE_UNSPECIFIED: Role
ROLE_PAST: Role
ROLE_FUTURE: Role
ROLE_STATIC: Role

class LoadModelRequest(_message.Message):
    __slots__ = ("model", "version", "policy")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    policy: UpgradePolicy
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., policy: _Optional[_Union[UpgradePolicy, str]] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "digest", "cell", "features", "frequency", "season_length", "horizon", "quantile_levels", "manifest_json", "versions", "task", "labels", "reads_time", "scores_anomalies", "calibrated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    SEASON_LENGTH_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_LEVELS_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_JSON_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    READS_TIME_FIELD_NUMBER: _ClassVar[int]
    SCORES_ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    digest: str
    cell: str
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    frequency: str
    season_length: int
    horizon: int
    quantile_levels: _containers.RepeatedScalarFieldContainer[float]
    manifest_json: str
    versions: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    task: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    reads_time: bool
    scores_anomalies: bool
    calibrated: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., cell: _Optional[str] = ..., features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., frequency: _Optional[str] = ..., season_length: _Optional[int] = ..., horizon: _Optional[int] = ..., quantile_levels: _Optional[_Iterable[float]] = ..., manifest_json: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., task: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., reads_time: _Optional[bool] = ..., scores_anomalies: _Optional[bool] = ..., calibrated: _Optional[bool] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("version", "digest", "num_sessions")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUM_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    version: int
    digest: str
    num_sessions: int
    def __init__(self, version: _Optional[int] = ..., digest: _Optional[str] = ..., num_sessions: _Optional[int] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "required", "categories", "role")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    required: bool
    categories: _containers.RepeatedScalarFieldContainer[str]
    role: Role
    def __init__(self, name: _Optional[str] = ..., required: _Optional[bool] = ..., categories: _Optional[_Iterable[str]] = ..., role: _Optional[_Union[Role, str]] = ...) -> None: ...
