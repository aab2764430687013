"""The store's promises with sources that misbehave in memory."""

import fcntl
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
import anyio.lowlevel
import pytest

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import Conflict, HomeUnusable, UpstreamError, UpstreamUnavailable
from headrace.drivers.weights.partial import PartialFile
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Progress
from headrace.testing.clock import FakeClock

P = ParamSpec("P")
T = TypeVar("T")

CONTENT = bytes(range(256)) * 40
GOOD = "good://a"


class Inline:
    """Work done on the spot."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)


class Scripted:
    """A source of one scheme that plays one script entry per fetch; the last one repeats.

    Bytes are delivered from the position on, a number is how far the content comes before the line breaks.
    """

    def __init__(self, scheme: str, *script: bytes | int | UpstreamError, scratch_bytes: int = 0) -> None:
        self.scheme = scheme
        self.script = list(script)
        self.fetched_from: list[int] = []
        self.reserve = scratch_bytes

    def serves(self, address: str) -> bool:
        return address.startswith(f"{self.scheme}://")

    def scratch_bytes(self, size_bytes: int) -> int:
        return self.reserve

    async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
        self.fetched_from.append(partial.position)
        await anyio.lowlevel.checkpoint()
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, UpstreamError):
            raise step
        if isinstance(step, int):
            await partial.write(CONTENT[partial.position : step])
            raise UpstreamUnavailable("The line broke.")
        await partial.write(step[partial.position :])


def weights_file(*sources: str, content: bytes = CONTENT) -> WeightsFile:
    return WeightsFile("m.gguf", hashlib.sha256(content).hexdigest(), len(content), "Apache-2.0", sources)


def store(home: Path, *sources: Scripted, free: int = 10**12) -> WeightsStore:
    def free_bytes(_: Path) -> int:
        return free

    return WeightsStore(home, sources, FakeClock(), Inline(), free_bytes)


def leftovers(home: Path) -> Sequence[str]:
    return sorted(path.name for path in (home / "weights" / "partial").iterdir())


@pytest.mark.anyio
async def test_keeps_a_file_under_its_hash_and_fetches_it_once(tmp_path: Path) -> None:
    source, seen = Scripted("good", CONTENT), list[Progress]()
    weights, file = store(tmp_path, source), weights_file(GOOD)
    assert weights.path(file) is None

    path = await weights.pull(file, seen.append)

    assert path == tmp_path / "weights" / "sha256" / file.sha256[:2] / file.sha256
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o444
    assert await weights.pull(file, seen.append) == path
    assert source.fetched_from == [0]
    assert seen[-1] == Progress("m.gguf", len(CONTENT), len(CONTENT), "bytes")
    assert leftovers(tmp_path) == []


@pytest.mark.anyio
async def test_tries_sources_in_order_and_takes_the_first_good_one(tmp_path: Path) -> None:
    down, good = Scripted("down", UpstreamUnavailable("It is down.")), Scripted("good", CONTENT)
    path = await store(tmp_path, good, down).pull(weights_file("down://x", GOOD), list[Progress]().append)
    assert path.read_bytes() == CONTENT
    assert (down.fetched_from, good.fetched_from) == ([0], [0])


@pytest.mark.anyio
async def test_a_tampered_file_is_deleted_and_named_with_both_hashes(tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + b"\0"
    file = weights_file("evil://x")
    with pytest.raises(UpstreamUnavailable) as caught:
        await store(tmp_path, Scripted("evil", wrong)).pull(file, list[Progress]().append)
    for part in ("m.gguf", "evil://x", hashlib.sha256(wrong).hexdigest(), file.sha256, "proxy"):
        assert part in caught.value.message
    assert store(tmp_path).path(file) is None
    assert leftovers(tmp_path) == [f"{file.sha256}.lock"]


@pytest.mark.anyio
async def test_names_every_source_that_failed(tmp_path: Path) -> None:
    down = Scripted("down", UpstreamUnavailable("It is down."))
    with pytest.raises(UpstreamUnavailable) as caught:
        await store(tmp_path, down).pull(weights_file("down://x", "odd://y"), list[Progress]().append)
    assert "down://x: It is down." in caught.value.message
    assert "odd://y: No source of this kind is known." in caught.value.message
    assert str(tmp_path / "weights" / "partial") in caught.value.message


@pytest.mark.anyio
async def test_goes_on_where_a_broken_download_ended(tmp_path: Path) -> None:
    source = Scripted("good", 1000, 3000, CONTENT)
    path = await store(tmp_path, source).pull(weights_file(GOOD), list[Progress]().append)
    assert path.read_bytes() == CONTENT
    assert source.fetched_from == [0, 1000, 3000]


@pytest.mark.anyio
async def test_gives_up_on_a_line_that_breaks_without_bringing_bytes_and_keeps_what_came(tmp_path: Path) -> None:
    source, file = Scripted("good", 1000), weights_file(GOOD)
    with pytest.raises(UpstreamUnavailable, match="The line broke"):
        await store(tmp_path, source).pull(file, list[Progress]().append)
    assert source.fetched_from == [0, 1000]
    source.script[:] = [CONTENT]
    await store(tmp_path, source).pull(file, list[Progress]().append)
    assert source.fetched_from == [0, 1000, 1000]


@pytest.mark.anyio
async def test_starts_afresh_when_what_an_earlier_try_left_was_wrong(tmp_path: Path) -> None:
    file, source = weights_file(GOOD), Scripted("good", CONTENT)
    folder = tmp_path / "weights" / "partial"
    folder.mkdir(parents=True)
    (folder / f"{file.sha256}.part").write_bytes(b"nonsense")
    path = await store(tmp_path, source).pull(file, list[Progress]().append)
    assert path.read_bytes() == CONTENT
    assert source.fetched_from == [8, 0]


@pytest.mark.anyio
async def test_takes_a_file_put_there_by_hand_only_after_checking_it(tmp_path: Path) -> None:
    file, source = weights_file(GOOD), Scripted("good", UpstreamUnavailable("offline"))
    folder = tmp_path / "weights" / "partial"
    folder.mkdir(parents=True)
    by_hand = folder / f"{file.sha256}.part"
    by_hand.write_bytes(CONTENT[::-1])
    with pytest.raises(UpstreamUnavailable, match="sha256 is"):
        await store(tmp_path, source).pull(file, list[Progress]().append)
    by_hand.write_bytes(CONTENT)
    path = await store(tmp_path, source).pull(file, list[Progress]().append)
    assert path.read_bytes() == CONTENT
    assert source.fetched_from == [0]


@pytest.mark.anyio
async def test_more_bytes_than_expected_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UpstreamUnavailable, match="more than the expected"):
        await store(tmp_path, Scripted("evil", CONTENT * 2)).pull(weights_file("evil://x"), list[Progress]().append)
    assert [name for name in leftovers(tmp_path) if name.endswith(".part")] == []


@pytest.mark.anyio
async def test_parallel_pulls_share_one_download_and_all_see_its_progress(tmp_path: Path) -> None:
    source, file = Scripted("good", CONTENT), weights_file(GOOD)
    weights = store(tmp_path, source)
    seen = [list[Progress]() for _ in range(3)]
    async with anyio.create_task_group() as group:
        for each in seen:
            group.start_soon(weights.pull, file, each.append)
    assert source.fetched_from == [0]
    assert [each[-1].done for each in seen] == [len(CONTENT)] * 3


@pytest.mark.anyio
async def test_parallel_pulls_share_one_failure(tmp_path: Path) -> None:
    source, file = Scripted("down", UpstreamUnavailable("It is down.")), weights_file("down://x")
    weights, failures = store(tmp_path, source), list[str]()

    async def pull() -> None:
        with pytest.raises(UpstreamUnavailable) as caught:
            await weights.pull(file, list[Progress]().append)
        failures.append(caught.value.message)

    async with anyio.create_task_group() as group:
        group.start_soon(pull)
        group.start_soon(pull)
    assert len(failures) == 2
    assert source.fetched_from == [0]
    with pytest.raises(UpstreamUnavailable):
        await weights.pull(file, list[Progress]().append)
    assert source.fetched_from == [0, 0]


@pytest.mark.anyio
async def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    source = Scripted("good", CONTENT)
    with pytest.raises(HomeUnusable, match=r"are needed in .*free"):
        await store(tmp_path, source, free=1000).pull(weights_file(GOOD), list[Progress]().append)
    assert source.fetched_from == []


@pytest.mark.anyio
async def test_a_source_that_needs_more_room_than_there_is_is_passed_over(tmp_path: Path) -> None:
    big, small = Scripted("big", CONTENT, scratch_bytes=10**9), Scripted("good", CONTENT)
    path = await store(tmp_path, big, small, free=10**9).pull(weights_file("big://x", GOOD), list[Progress]().append)
    assert path.read_bytes() == CONTENT
    assert (big.fetched_from, small.fetched_from) == ([], [0])


@pytest.mark.anyio
async def test_an_unwritable_home_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file where a folder belongs")
    with pytest.raises(HomeUnusable, match="cannot be written"):
        await store(tmp_path, Scripted("good", CONTENT)).pull(weights_file(GOOD), list[Progress]().append)


@pytest.mark.anyio
async def test_verify_notices_a_changed_file(tmp_path: Path) -> None:
    weights, file = store(tmp_path, Scripted("good", CONTENT)), weights_file(GOOD)
    assert not await weights.verify(file)
    path = await weights.pull(file, list[Progress]().append)
    assert await weights.verify(file)
    path.chmod(0o644)
    path.write_bytes(CONTENT[::-1])
    assert not await weights.verify(file)
    path.write_bytes(b"short")
    assert weights.path(file) is None


@pytest.mark.anyio
async def test_a_cancelled_pull_leaves_the_rest_to_the_next_one(tmp_path: Path) -> None:
    class Stuck(Scripted):
        async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
            self.fetched_from.append(partial.position)
            if partial.position:
                await partial.write(CONTENT[partial.position :])
                return
            await partial.write(CONTENT[:1000])
            await anyio.sleep_forever()

    source, file = Stuck("good", CONTENT), weights_file(GOOD)
    weights = store(tmp_path, source)
    started = anyio.Event()

    def note(progress: Progress) -> None:
        if progress.done == 1000:
            started.set()

    class Ticking(FakeClock):
        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    weights = WeightsStore(tmp_path, (source,), Ticking(), Inline())
    async with anyio.create_task_group() as group:
        group.start_soon(weights.pull, file, note)
        await started.wait()
        group.cancel_scope.cancel()
    path = await weights.pull(file, note)
    assert path.read_bytes() == CONTENT
    assert source.fetched_from == [0, 1000]


@pytest.mark.anyio
async def test_what_is_removed_is_gone_with_what_was_begun_and_can_be_fetched_again(tmp_path: Path) -> None:
    source = Scripted("good", 5_000, 5_000, CONTENT)
    weights, file = store(tmp_path, source), weights_file(GOOD)
    assert await weights.remove(file) == 0
    with pytest.raises(UpstreamUnavailable):
        await store(tmp_path, Scripted("good", 5_000)).pull(file, list[Progress]().append)
    assert await weights.remove(file) == 5_000
    assert leftovers(tmp_path) == []
    path = await store(tmp_path, Scripted("good", CONTENT)).pull(file, list[Progress]().append)
    assert await weights.remove(file) == len(CONTENT)
    assert (weights.path(file), path.exists(), leftovers(tmp_path)) == (None, False, [])
    assert (await store(tmp_path, Scripted("good", CONTENT)).pull(file, list[Progress]().append)) == path


@pytest.mark.anyio
async def test_of_a_file_of_this_machine_only_the_link_is_removed(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT)
    weights, file = store(tmp_path), weights_file(f"file:{own}")
    assert (await weights.pull(file, list[Progress]().append)).is_symlink()
    assert await weights.remove(file) == 0
    assert (weights.path(file), own.read_bytes()) == (None, CONTENT)


@pytest.mark.anyio
async def test_a_file_that_another_home_shares_frees_nothing(tmp_path: Path) -> None:
    weights, file = store(tmp_path, Scripted("good", CONTENT)), weights_file(GOOD)
    shared = tmp_path / "shared"
    shared.hardlink_to(await weights.pull(file, list[Progress]().append))
    assert await weights.remove(file) == 0
    assert (weights.path(file), shared.read_bytes()) == (None, CONTENT)


@pytest.mark.anyio
async def test_what_another_process_is_fetching_is_not_removed(tmp_path: Path) -> None:
    weights, file = store(tmp_path, Scripted("good", CONTENT)), weights_file(GOOD)
    lock = tmp_path / "weights" / "partial" / f"{file.sha256}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="is being fetched now"):
            await weights.remove(file)
    assert await weights.remove(file) == 0


@pytest.mark.anyio
async def test_what_this_process_is_fetching_is_not_removed(tmp_path: Path) -> None:
    file, refused = weights_file(GOOD), list[str]()

    class Asked(Scripted):
        async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
            with pytest.raises(Conflict) as caught:
                await weights.remove(file)
            refused.append(caught.value.code)
            await super().fetch(address, partial, scratch)

    weights = store(tmp_path, Asked("good", CONTENT))
    assert (await weights.pull(file, list[Progress]().append)).read_bytes() == CONTENT
    assert refused == ["pull_running"]
