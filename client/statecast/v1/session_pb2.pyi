from statecast.v1 import forecast_pb2 as _forecast_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_EVENT_UNSPECIFIED: _ClassVar[SessionEvent]
    SESSION_EVENT_EVICTED: _ClassVar[SessionEvent]
    SESSION_EVENT_EXPIRED: _ClassVar[SessionEvent]
    SESSION_EVENT_DELETED: _ClassVar[SessionEvent]
    SESSION_EVENT_RESET: _ClassVar[SessionEvent]
    SESSION_EVENT_TAKEN_OVER: _ClassVar[SessionEvent]
    SESSION_EVENT_UPGRADED: _ClassVar[SessionEvent]

class SessionPlace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_PLACE_UNSPECIFIED: _ClassVar[SessionPlace]
    SESSION_PLACE_MEMORY: _ClassVar[SessionPlace]
    SESSION_PLACE_STORE: _ClassVar[SessionPlace]
SESSION_EVENT_UNSPECIFIED: SessionEvent
SESSION_EVENT_EVICTED: SessionEvent
SESSION_EVENT_EXPIRED: SessionEvent
SESSION_EVENT_DELETED: SessionEvent
SESSION_EVENT_RESET: SessionEvent
SESSION_EVENT_TAKEN_OVER: SessionEvent
SESSION_EVENT_UPGRADED: SessionEvent
SESSION_PLACE_UNSPECIFIED: SessionPlace
SESSION_PLACE_MEMORY: SessionPlace
SESSION_PLACE_STORE: SessionPlace

class GetSessionRequest(_message.Message):
    __slots__ = ("model", "session_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("model", "session_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("model", "prefix", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    prefix: str
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., prefix: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResetSessionRequest(_message.Message):
    __slots__ = ("model", "session_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class ResetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ForkSessionRequest(_message.Message):
    __slots__ = ("model", "session_id", "new_session_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    new_session_id: str
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ..., new_session_id: _Optional[str] = ...) -> None: ...

class ForkSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ExportSessionRequest(_message.Message):
    __slots__ = ("model", "session_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class ExportSessionResponse(_message.Message):
    __slots__ = ("exported", "session")
    EXPORTED_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    exported: bytes
    session: Session
    def __init__(self, exported: _Optional[bytes] = ..., session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ImportSessionRequest(_message.Message):
    __slots__ = ("model", "session_id", "exported", "overwrite")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    exported: bytes
    overwrite: bool
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ..., exported: _Optional[bytes] = ..., overwrite: _Optional[bool] = ...) -> None: ...

class ImportSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ExportedSession(_message.Message):
    __slots__ = ("format", "model_digest", "session_id", "position", "last_time_us", "states", "recent", "tenant", "checksum")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    format: int
    model_digest: str
    session_id: str
    position: int
    last_time_us: int
    states: _containers.RepeatedCompositeFieldContainer[StateTensor]
    recent: bytes
    tenant: str
    checksum: bytes
    def __init__(self, format: _Optional[int] = ..., model_digest: _Optional[str] = ..., session_id: _Optional[str] = ..., position: _Optional[int] = ..., last_time_us: _Optional[int] = ..., states: _Optional[_Iterable[_Union[StateTensor, _Mapping]]] = ..., recent: _Optional[bytes] = ..., tenant: _Optional[str] = ..., checksum: _Optional[bytes] = ...) -> None: ...

class StateTensor(_message.Message):
    __slots__ = ("name", "dtype", "shape", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    content: bytes
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., content: _Optional[bytes] = ...) -> None: ...

class WatchSessionsRequest(_message.Message):
    __slots__ = ("model", "prefix")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    model: str
    prefix: str
    def __init__(self, model: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...

class WatchSessionsResponse(_message.Message):
    __slots__ = ("event", "session", "num_missed")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NUM_MISSED_FIELD_NUMBER: _ClassVar[int]
    event: SessionEvent
    session: Session
    num_missed: int
    def __init__(self, event: _Optional[_Union[SessionEvent, str]] = ..., session: _Optional[_Union[Session, _Mapping]] = ..., num_missed: _Optional[int] = ...) -> None: ...

class WatchRowsRequest(_message.Message):
    __slots__ = ("model", "session_id", "max_rows_per_second")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    max_rows_per_second: int
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ..., max_rows_per_second: _Optional[int] = ...) -> None: ...

class WatchRowsResponse(_message.Message):
    __slots__ = ("rows", "event", "model_version", "quantile_levels", "labels")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_LEVELS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[WatchedRow]
    event: SessionEvent
    model_version: int
    quantile_levels: _containers.RepeatedScalarFieldContainer[float]
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rows: _Optional[_Iterable[_Union[WatchedRow, _Mapping]]] = ..., event: _Optional[_Union[SessionEvent, str]] = ..., model_version: _Optional[int] = ..., quantile_levels: _Optional[_Iterable[float]] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchedRow(_message.Message):
    __slots__ = ("position", "time_us", "values", "forecast", "anomaly_score", "num_skipped", "num_missing_steps")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_SCORE_FIELD_NUMBER: _ClassVar[int]
    NUM_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    NUM_MISSING_STEPS_FIELD_NUMBER: _ClassVar[int]
    position: int
    time_us: int
    values: _containers.RepeatedScalarFieldContainer[float]
    forecast: _forecast_pb2.Forecast
    anomaly_score: _forecast_pb2.AnomalyScore
    num_skipped: int
    num_missing_steps: int
    def __init__(self, position: _Optional[int] = ..., time_us: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ..., forecast: _Optional[_Union[_forecast_pb2.Forecast, _Mapping]] = ..., anomaly_score: _Optional[_Union[_forecast_pb2.AnomalyScore, _Mapping]] = ..., num_skipped: _Optional[int] = ..., num_missing_steps: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("model", "session_id", "model_version", "model_digest", "position", "last_time_us", "place", "used_at_us")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    USED_AT_US_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    model_version: int
    model_digest: str
    position: int
    last_time_us: int
    place: SessionPlace
    used_at_us: int
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ..., model_version: _Optional[int] = ..., model_digest: _Optional[str] = ..., position: _Optional[int] = ..., last_time_us: _Optional[int] = ..., place: _Optional[_Union[SessionPlace, str]] = ..., used_at_us: _Optional[int] = ...) -> None: ...
