"""Time, ids and randomness that a test controls; code them against the ports in `headrace.ports.ambient`."""

import hashlib


class FakeClock:
    """A clock that moves only when told to; wall clock and monotonic time can be moved apart."""

    def __init__(self, unix_micros: int = 1_764_000_000_000_000, monotonic_seconds: float = 1_000.0) -> None:
        self._unix_micros: int = unix_micros
        self._monotonic_micros: int = round(monotonic_seconds * 1_000_000)

    def unix_micros(self) -> int:
        """The wall clock in microseconds since 1970."""
        return self._unix_micros

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return self._monotonic_micros / 1_000_000

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; raises ValueError for a negative duration."""
        if seconds < 0:
            raise ValueError(f"Time does not pass by {seconds} s; use jump() to set the wall clock back.")
        micros = round(seconds * 1_000_000)
        self._unix_micros += micros
        self._monotonic_micros += micros

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or a time server does; monotonic time stays."""
        self._unix_micros += round(seconds * 1_000_000)


class FakeIds:
    """Ids that count up: `req_000001`, `att_000002`, one sequence for all prefixes."""

    def __init__(self) -> None:
        self._last: int = 0

    def new(self, prefix: str) -> str:
        """The next id, in the order of creation."""
        self._last += 1
        return f"{prefix}_{self._last:06d}"


class FakeRandom:
    """Bytes that look random and repeat with the seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed: int = seed
        self._draws: int = 0

    def token_bytes(self, count: int) -> bytes:
        """The next bytes of the seed's sequence; no two draws are alike."""
        self._draws += 1
        return hashlib.shake_256(f"{self._seed}:{self._draws}".encode()).digest(count)
