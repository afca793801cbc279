from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reply(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLY_UNSPECIFIED: _ClassVar[Reply]
    REPLY_NONE: _ClassVar[Reply]
    REPLY_LAST: _ClassVar[Reply]
    REPLY_EACH: _ClassVar[Reply]
REPLY_UNSPECIFIED: Reply
REPLY_NONE: Reply
REPLY_LAST: Reply
REPLY_EACH: Reply

class Row(_message.Message):
    __slots__ = ("values", "time_us")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    time_us: int
    def __init__(self, values: _Optional[_Iterable[float]] = ..., time_us: _Optional[int] = ...) -> None: ...

class ForecastRequest(_message.Message):
    __slots__ = ("model", "session_id", "rows", "position", "reply", "horizon", "carry_state", "sealed_state", "score_anomalies")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    CARRY_STATE_FIELD_NUMBER: _ClassVar[int]
    SEALED_STATE_FIELD_NUMBER: _ClassVar[int]
    SCORE_ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    model: str
    session_id: str
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    position: int
    reply: Reply
    horizon: int
    carry_state: bool
    sealed_state: bytes
    score_anomalies: bool
    def __init__(self, model: _Optional[str] = ..., session_id: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., position: _Optional[int] = ..., reply: _Optional[_Union[Reply, str]] = ..., horizon: _Optional[int] = ..., carry_state: _Optional[bool] = ..., sealed_state: _Optional[bytes] = ..., score_anomalies: _Optional[bool] = ...) -> None: ...

class ForecastResponse(_message.Message):
    __slots__ = ("position", "num_skipped", "num_late", "num_missing_steps", "forecasts", "quantile_levels", "model_version", "sealed_state", "anomaly_scores")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    NUM_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    NUM_LATE_FIELD_NUMBER: _ClassVar[int]
    NUM_MISSING_STEPS_FIELD_NUMBER: _ClassVar[int]
    FORECASTS_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_LEVELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SEALED_STATE_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_SCORES_FIELD_NUMBER: _ClassVar[int]
    position: int
    num_skipped: int
    num_late: int
    num_missing_steps: int
    forecasts: _containers.RepeatedCompositeFieldContainer[Forecast]
    quantile_levels: _containers.RepeatedScalarFieldContainer[float]
    model_version: int
    sealed_state: bytes
    anomaly_scores: _containers.RepeatedCompositeFieldContainer[AnomalyScore]
    def __init__(self, position: _Optional[int] = ..., num_skipped: _Optional[int] = ..., num_late: _Optional[int] = ..., num_missing_steps: _Optional[int] = ..., forecasts: _Optional[_Iterable[_Union[Forecast, _Mapping]]] = ..., quantile_levels: _Optional[_Iterable[float]] = ..., model_version: _Optional[int] = ..., sealed_state: _Optional[bytes] = ..., anomaly_scores: _Optional[_Iterable[_Union[AnomalyScore, _Mapping]]] = ...) -> None: ...

class AnomalyScore(_message.Message):
    __slots__ = ("quantile_position", "tail_probability")
    QUANTILE_POSITION_FIELD_NUMBER: _ClassVar[int]
    TAIL_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    quantile_position: float
    tail_probability: float
    def __init__(self, quantile_position: _Optional[float] = ..., tail_probability: _Optional[float] = ...) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("position", "values")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    position: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, position: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamForecastsRequest(_message.Message):
    __slots__ = ("sessions", "frame")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionHandle]
    frame: Frame
    def __init__(self, sessions: _Optional[_Iterable[_Union[SessionHandle, _Mapping]]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class SessionHandle(_message.Message):
    __slots__ = ("handle", "model", "session_id")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    handle: int
    model: str
    session_id: str
    def __init__(self, handle: _Optional[int] = ..., model: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("id", "handles", "lengths", "positions", "times_us", "values", "reply", "horizon", "score_anomalies")
    ID_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    TIMES_US_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    SCORE_ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    id: int
    handles: bytes
    lengths: bytes
    positions: bytes
    times_us: bytes
    values: bytes
    reply: Reply
    horizon: int
    score_anomalies: bool
    def __init__(self, id: _Optional[int] = ..., handles: _Optional[bytes] = ..., lengths: _Optional[bytes] = ..., positions: _Optional[bytes] = ..., times_us: _Optional[bytes] = ..., values: _Optional[bytes] = ..., reply: _Optional[_Union[Reply, str]] = ..., horizon: _Optional[int] = ..., score_anomalies: _Optional[bool] = ...) -> None: ...

class StreamForecastsResponse(_message.Message):
    __slots__ = ("frame_id", "frame_error", "entry_errors", "positions", "num_skipped", "num_late", "num_missing_steps", "num_forecasts", "forecasts", "horizon", "num_quantile_levels", "model_version", "forecast_positions", "num_scores", "anomaly_scores")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ERRORS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    NUM_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    NUM_LATE_FIELD_NUMBER: _ClassVar[int]
    NUM_MISSING_STEPS_FIELD_NUMBER: _ClassVar[int]
    NUM_FORECASTS_FIELD_NUMBER: _ClassVar[int]
    FORECASTS_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    NUM_QUANTILE_LEVELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORECAST_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    NUM_SCORES_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_SCORES_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    frame_error: FrameError
    entry_errors: _containers.RepeatedCompositeFieldContainer[EntryError]
    positions: bytes
    num_skipped: bytes
    num_late: bytes
    num_missing_steps: bytes
    num_forecasts: bytes
    forecasts: bytes
    horizon: int
    num_quantile_levels: int
    model_version: int
    forecast_positions: bytes
    num_scores: bytes
    anomaly_scores: bytes
    def __init__(self, frame_id: _Optional[int] = ..., frame_error: _Optional[_Union[FrameError, _Mapping]] = ..., entry_errors: _Optional[_Iterable[_Union[EntryError, _Mapping]]] = ..., positions: _Optional[bytes] = ..., num_skipped: _Optional[bytes] = ..., num_late: _Optional[bytes] = ..., num_missing_steps: _Optional[bytes] = ..., num_forecasts: _Optional[bytes] = ..., forecasts: _Optional[bytes] = ..., horizon: _Optional[int] = ..., num_quantile_levels: _Optional[int] = ..., model_version: _Optional[int] = ..., forecast_positions: _Optional[bytes] = ..., num_scores: _Optional[bytes] = ..., anomaly_scores: _Optional[bytes] = ...) -> None: ...

class FrameError(_message.Message):
    __slots__ = ("code", "message", "field", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field: str
    retry_after_ms: int
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class EntryError(_message.Message):
    __slots__ = ("entry", "code", "message", "field", "committed_position", "retry_after_ms")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_POSITION_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    entry: int
    code: int
    message: str
    field: str
    committed_position: int
    retry_after_ms: int
    def __init__(self, entry: _Optional[int] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., committed_position: _Optional[int] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...
