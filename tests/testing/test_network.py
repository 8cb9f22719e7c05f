"""The simulated network: every fault is told as on a real one, and a seed repeats itself."""

from __future__ import annotations

import asyncio

import pytest

from penstock import transports
from penstock.errors import InvalidArgument, Unavailable
from penstock.testing import SimulatedNetwork, memory_pair, run
from penstock.transports import CLOSE_TIMEOUT_S
from tests.transports.kit import Recorder, linked


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_link_takes_a_round_trip_and_a_write_half_of_one() -> None:
    with SimulatedNetwork(1, latency_s=(0.05, 0.05)):
        async with linked("sim://server") as pair:
            assert now() == pytest.approx(0.1)
            pair.client.link.write([b"x"])
            await pair.server.until_received(1)
            assert now() == pytest.approx(0.15)


async def test_latency_varies_within_its_bounds_and_keeps_the_order(seed) -> None:
    with SimulatedNetwork(seed, latency_s=(0.01, 0.5)):
        async with linked("sim://server") as pair:
            arrivals: list[float] = []
            pair.server.on_data = lambda: arrivals.append(now())
            for number in range(200):
                pair.client.link.write([bytes([number])])
                await asyncio.sleep(0.1)
            await pair.server.until_received(200)
            assert pair.server.received == bytes(range(200))
            assert len(set(arrivals)) > 20


async def test_a_packet_that_is_lost_below_is_sent_again_and_holds_up_those_behind_it(seed) -> None:
    with SimulatedNetwork(seed, latency_s=(0.01, 0.01), loss=0.3):
        async with linked("sim://server") as pair:
            times = []
            for number in range(200):
                before = now()
                pair.client.link.write([b"x"])
                await pair.server.until_received(number + 1)
                times.append(round(now() - before, 6))
    assert set(times) >= {0.01, 0.21, 0.61}
    assert 120 < times.count(0.01) < 160
    assert all(time in {round(0.01 + 0.2 * (2**losses - 1), 6) for losses in range(7)} for time in times)


async def test_a_large_write_arrives_bit_by_bit_over_little_bandwidth() -> None:
    with SimulatedNetwork(1, bandwidth_bytes_s=100_000):
        async with linked("sim://server") as pair:
            pair.client.link.write([bytes(1_000_000)])
            await asyncio.sleep(5)
            assert 450_000 < pair.server.received_bytes < 550_000
            await pair.server.until_received(1_000_000)
            assert now() == pytest.approx(10)


async def test_bandwidth_bounds_what_passes_in_a_second() -> None:
    with SimulatedNetwork(1, bandwidth_bytes_s=10_000):
        async with linked("sim://server") as pair:
            for _ in range(10):
                pair.client.link.write([bytes(2_500)])
            await pair.server.until_received(25_000)
            assert now() == pytest.approx(2.5)


async def test_writes_are_split_and_joined_by_chance(seed) -> None:
    with SimulatedNetwork(seed, latency_s=(0.001, 0.02), split=0.5, coalesce=0.5):
        async with linked("sim://server") as pair:
            sizes: list[int] = []
            before = [0]

            def fed() -> None:
                sizes.append(pair.server.received_bytes - before[0])
                before[0] = pair.server.received_bytes

            pair.server.on_data = fed
            for _ in range(200):
                pair.client.link.write([bytes(100)])
                await asyncio.sleep(0.005)
            await pair.server.until_received(20_000)
            assert min(sizes) < 100
            assert max(sizes) > 100


def scenario(seed: int) -> list[tuple[float, int]]:
    async def main() -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []
        with SimulatedNetwork(seed, latency_s=(0.01, 0.1), split=0.3, coalesce=0.3) as network:
            async with linked("sim://server") as pair:
                pair.server.on_data = lambda: seen.append((now(), pair.server.received_bytes))
                for _ in range(50):
                    pair.client.link.write([bytes(network.random.randint(1, 5000))])
                    await asyncio.sleep(network.random.uniform(0, 0.05))
                await asyncio.sleep(1)
        return seen

    return run(main())


def test_the_same_seed_does_the_same_and_another_does_not() -> None:
    assert scenario(7) == scenario(7)
    assert scenario(7) != scenario(8)


async def test_a_partition_is_told_to_nobody_and_what_was_held_arrives_after_it() -> None:
    with SimulatedNetwork(1, latency_s=(0.01, 0.01)) as network:
        async with linked("sim://alice@server") as pair:
            pair.client.link.write([b"before "])
            network.partition("alice", "server")
            pair.client.link.write([b"during"])
            pair.server.link.write([b"back"])
            await asyncio.sleep(3600)
            assert (pair.server.received_bytes, pair.client.received_bytes) == (0, 0)
            network.heal()
            await pair.server.until_received(13)
            await pair.client.until_received(4)
            assert pair.server.received == b"before during"
            assert pair.client.lost == pair.server.lost == []


async def test_a_partition_is_between_two_hosts_and_others_go_on() -> None:
    with SimulatedNetwork(1) as network:
        async with linked("sim://alice@one") as first, linked("sim://alice@two") as second:
            network.partition("alice", "one")
            first.client.link.write([b"held"])
            second.client.link.write([b"passes"])
            await second.server.until_received(6)
            assert first.server.received_bytes == 0


async def test_a_dial_waits_for_a_partition_to_heal_or_times_out() -> None:
    with SimulatedNetwork(1) as network:
        listener = await transports.listen("sim://server", Recorder)
        network.partition()
        with pytest.raises(Unavailable, match="did not answer within 10 s"):
            await transports.dial("sim://server", Recorder())
        assert now() == 10
        asyncio.get_running_loop().call_later(3, network.heal)
        await transports.dial("sim://server", Recorder())
        assert now() == 13
        await listener.aclose()


async def test_a_cut_is_a_reset_at_both_ends_and_what_flew_is_lost() -> None:
    with SimulatedNetwork(1, latency_s=(0.01, 0.01)) as network:
        async with linked("sim://server") as pair:
            pair.client.link.write([b"lost"])
            assert network.cut("client", "server") == 1
            assert [type(error) for error in await pair.both_lost()] == [ConnectionResetError] * 2
            assert pair.server.received_bytes == 0
            assert network.cut() == 0


@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 99, 100])
async def test_a_connection_can_be_cut_at_any_byte(offset) -> None:
    with SimulatedNetwork(1) as network:
        network.cut_after(offset, source="client", target="server")
        async with linked("sim://server") as pair:
            for _ in range(20):
                pair.client.link.write([bytes(10)])
            await pair.both_lost()
            assert pair.server.received_bytes == offset
        async with linked("sim://server") as pair:  # once
            pair.client.link.write([bytes(200)])
            await pair.server.until_received(200)


async def test_the_cut_of_a_connection_that_is_up_counts_from_its_start() -> None:
    with SimulatedNetwork(1) as network:
        async with linked("sim://server") as pair:
            pair.server.link.write([bytes(60)])
            await pair.client.until_received(60)
            network.cut_after(100, source="server", target="client")
            pair.server.link.write([bytes(60)])
            await pair.both_lost()
            assert pair.client.received_bytes == 100


async def test_a_silent_connection_is_half_open_and_new_ones_work() -> None:
    with SimulatedNetwork(1) as network:
        async with linked("sim://server") as pair:
            assert network.silence("client", "server") == 1
            pair.client.link.write([b"vanishes"])
            pair.server.link.close()
            await pair.server.until_lost()
            assert now() == CLOSE_TIMEOUT_S
            await asyncio.sleep(3600)
            assert pair.client.lost == []
            assert pair.server.received_bytes == 0
            async with linked("sim://other") as fresh:
                fresh.client.link.write([b"x"])
                await fresh.server.until_received(1)


async def test_a_silent_connection_fills_up_like_a_real_one() -> None:
    with SimulatedNetwork(1) as network:
        async with linked("sim://server") as pair:
            network.silence()
            for _ in range(100):
                pair.client.link.write([bytes(65_536)])
            assert not pair.client.writable


async def test_a_close_in_a_partition_is_bounded() -> None:
    with SimulatedNetwork(1) as network:
        async with linked("sim://server") as pair:
            network.partition()
            pair.client.link.close()
            assert isinstance(await pair.client.until_lost(), ConnectionAbortedError)
            assert now() == CLOSE_TIMEOUT_S
            network.heal()
            assert isinstance(await pair.server.until_lost(), ConnectionResetError)


async def test_a_server_that_refuses_at_once_is_seen_by_the_dial() -> None:
    class Refusing(Recorder):
        def link_made(self, link) -> None:
            super().link_made(link)
            link.abort()

    with SimulatedNetwork(1, latency_s=(0.01, 0.01)):
        listener = await transports.listen("sim://server", Refusing)
        with pytest.raises(Unavailable, match="closed the connection while it was made"):
            await transports.dial("sim://server", Recorder())
        await listener.aclose()


async def test_what_a_server_writes_at_once_waits_for_the_client() -> None:
    class Greeting(Recorder):
        def link_made(self, link) -> None:
            super().link_made(link)
            link.write([b"hello"])

    with SimulatedNetwork(1, latency_s=(0.01, 0.05)):
        listener = await transports.listen("sim://server", Greeting)
        client = Recorder()
        await transports.dial("sim://server", client)
        await client.until_received(5)
        assert client.received == b"hello"
        await listener.aclose()


async def test_a_cancelled_dial_leaves_no_connection() -> None:
    server = Recorder()
    with SimulatedNetwork(1, latency_s=(1, 1)) as network:
        listener = await transports.listen("sim://server", lambda: server)
        dialling = asyncio.create_task(transports.dial("sim://server", Recorder()))
        await asyncio.sleep(1.5)
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        assert isinstance(await server.until_lost(), ConnectionResetError)
        assert network.cut() == 0
        await listener.aclose()


async def test_two_networks_have_a_scheme_each_and_leave_with_their_block() -> None:
    with SimulatedNetwork(1) as one, SimulatedNetwork(2, scheme="far") as two:
        async with linked("sim://server"), linked("far://server"):
            one.cut()
            assert "connections=1" in repr(two)
    with pytest.raises(InvalidArgument, match="unknown scheme 'far'"):
        await transports.dial("far://server", Recorder())


async def test_a_failure_carries_the_seed_that_repeats_it() -> None:
    with pytest.raises(AssertionError) as caught, SimulatedNetwork(4711):
        raise AssertionError("something")
    assert "seed=4711" in caught.value.__notes__[0]


async def test_leaving_the_network_cuts_what_is_up() -> None:
    with SimulatedNetwork(1):
        server, client = Recorder(), Recorder()
        await transports.listen("sim://server", lambda: server)
        await transports.dial("sim://server", client)
    assert isinstance(await server.until_lost(), ConnectionResetError)
    assert isinstance(await client.until_lost(), ConnectionResetError)


@pytest.mark.parametrize("hosts", [("one",), ("one", "two", "three")])
def test_a_connection_is_between_two_hosts(hosts) -> None:
    with pytest.raises(ValueError, match="between two hosts"):
        SimulatedNetwork(1).partition(*hosts)


def test_impossible_weather_is_refused() -> None:
    with pytest.raises(ValueError, match="the least and the most"):
        SimulatedNetwork(1, latency_s=(2, 1))


@pytest.mark.parametrize("url", ["sim://", "sim://@server", "sim://client@"])
async def test_a_url_names_a_host(url) -> None:
    with SimulatedNetwork(1), pytest.raises(InvalidArgument, match="names no host"):
        await transports.dial(url, Recorder())


async def test_a_memory_pair_joins_two_receivers() -> None:
    first, second = Recorder(), Recorder()
    link, _ = memory_pair(first, second)
    link.write([b"x"])
    await second.until_received(1)
    link.close()
    await first.until_lost()
