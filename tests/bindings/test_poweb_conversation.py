# SPDX-License-Identifier: MIT
"""The server's side of a collection, without sockets (rules §8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from awala.bindings.poweb.collection import (
    DRAIN_GRACE,
    Authenticate,
    Close,
    CollectionConversation,
    Commit,
    DeliveryIds,
    Fetch,
    SendMessage,
    parse_mode,
    parse_window,
)
from awala.bindings.poweb.names import HANDSHAKE_TIMEOUT, MAX_COLLECTOR_MESSAGE, CloseCode
from awala.bindings.poweb.service import CollectedParcel, StreamingMode
from awala.messages.collection import HandshakeChallenge, ParcelDelivery

NONCE = b"n" * 16


def a_conversation(mode=StreamingMode.KEEP_ALIVE, window=1):
    return CollectionConversation(nonce=NONCE, id_prefix="c0ffee", mode=mode, window=window)


def a_collecting_conversation(mode=StreamingMode.KEEP_ALIVE, window=1):
    conversation = a_conversation(mode, window)
    conversation.start(0.0)
    conversation.receive(b"response")
    assert conversation.authenticated() == [Fetch()]
    return conversation


def hand_out(conversation, content=b"parcel"):
    parcel = CollectedParcel(content, content)
    sent, *others = conversation.fetched(parcel)
    return ParcelDelivery.parse(sent.message).delivery_id, parcel, others


def closes_with(actions):
    (close,) = actions
    assert isinstance(close, Close)
    return close.code


def test_challenges_the_collector_first():
    (action,) = a_conversation().start(0.0)

    assert HandshakeChallenge.parse(action.message).nonce == NONCE


def test_hands_the_response_to_the_gateway_as_it_is():
    conversation = a_conversation()
    conversation.start(0.0)

    assert conversation.receive(b"response") == [Authenticate(b"response")]


def test_closes_with_1003_when_the_gateway_does_not_accept_the_response():
    conversation = a_conversation()
    conversation.start(0.0)
    conversation.receive(b"response")

    assert closes_with(conversation.refused()) is CloseCode.REFUSED


def test_refuses_a_response_in_a_text_frame():
    conversation = a_conversation()
    conversation.start(0.0)

    assert closes_with(conversation.receive("response")) is CloseCode.REFUSED


def test_refuses_a_message_while_the_response_is_judged():
    conversation = a_conversation()
    conversation.start(0.0)
    conversation.receive(b"response")

    assert closes_with(conversation.receive("early")) is CloseCode.REFUSED


@pytest.mark.rule("8.3")
def test_ends_when_the_challenge_is_not_answered_in_time():
    conversation = a_conversation()
    conversation.start(100.0)

    assert conversation.deadline == 100.0 + HANDSHAKE_TIMEOUT
    assert conversation.tick(100.0 + HANDSHAKE_TIMEOUT - 0.01) == []
    assert closes_with(conversation.tick(100.0 + HANDSHAKE_TIMEOUT)) is CloseCode.POLICY


def test_has_no_deadline_once_the_challenge_was_answered():
    conversation = a_conversation()
    conversation.start(0.0)
    conversation.receive(b"response")

    assert conversation.deadline is None
    assert conversation.tick(10_000.0) == []


@pytest.mark.rule("8.1")
def test_asks_for_the_next_parcel_only_after_the_acknowledgement():
    conversation = a_collecting_conversation()
    delivery_id, parcel, others = hand_out(conversation)

    assert others == []
    assert conversation.receive(delivery_id) == [Commit(parcel), Fetch()]


@pytest.mark.rule("8.1")
@pytest.mark.parametrize("window", [2, 5])
def test_fills_the_window_that_the_collector_asked_for(window):
    conversation = a_collecting_conversation(window=window)
    for number in range(1, window):
        assert hand_out(conversation, b"%d" % number)[2] == [Fetch()]

    assert hand_out(conversation, b"last")[2] == []


def test_takes_an_acknowledgement_in_a_binary_frame():
    conversation = a_collecting_conversation()
    delivery_id, parcel, _ = hand_out(conversation)

    assert Commit(parcel) in conversation.receive(delivery_id.encode())


@pytest.mark.rule("8.2")
def test_ignores_a_late_acknowledgement_of_its_own():
    conversation = a_collecting_conversation()
    delivery_id, _, _ = hand_out(conversation)
    conversation.receive(delivery_id)

    assert conversation.receive(delivery_id) == []


@pytest.mark.parametrize(
    "unknown",
    ["", "x", "c0ffee-000000000002", "c0ffee-000000000000", "c0ffee-1", "decade-000000000001", b"\xff\xfe"],
)
def test_closes_with_1003_for_an_unknown_id(unknown):
    conversation = a_collecting_conversation()
    hand_out(conversation)

    assert closes_with(conversation.receive(unknown)) is CloseCode.REFUSED


def test_takes_glued_acknowledgements_for_unknown():
    conversation = a_collecting_conversation(window=5)
    ids = [hand_out(conversation, b"%d" % number)[0] for number in range(3)]

    assert closes_with(conversation.receive("".join(ids))) is CloseCode.REFUSED


@pytest.mark.parametrize("message", ["x" * (MAX_COLLECTOR_MESSAGE + 1), b"x" * (MAX_COLLECTOR_MESSAGE + 1)])
def test_closes_with_1009_for_a_message_that_is_too_big(message):
    conversation = a_collecting_conversation()

    assert closes_with(conversation.receive(message)) is CloseCode.TOO_BIG


def test_completes_at_once_when_nothing_is_queued():
    conversation = a_collecting_conversation(StreamingMode.CLOSE_UPON_COMPLETION)

    assert closes_with(conversation.fetched(None)) is CloseCode.COMPLETED


def test_completes_only_after_the_last_commit_and_one_more_look():
    conversation = a_collecting_conversation(StreamingMode.CLOSE_UPON_COMPLETION)
    delivery_id, parcel, _ = hand_out(conversation)
    assert conversation.receive(delivery_id) == [Commit(parcel), Fetch()]

    assert conversation.fetched(None) == []
    assert conversation.committed() == [Fetch()]
    assert closes_with(conversation.fetched(None)) is CloseCode.COMPLETED


def test_waits_for_outstanding_deliveries_before_it_completes():
    conversation = a_collecting_conversation(StreamingMode.CLOSE_UPON_COMPLETION, window=2)
    delivery_id, parcel, others = hand_out(conversation)
    assert others == [Fetch()]

    assert conversation.fetched(None) == []
    assert conversation.receive(delivery_id) == [Commit(parcel)]
    assert conversation.committed() == [Fetch()]


def test_a_gateway_that_has_no_more_in_keep_alive_mode_has_the_collector_come_back():
    conversation = a_collecting_conversation()

    assert closes_with(conversation.fetched(None)) is CloseCode.DRAINED


def test_closes_with_1011_when_the_gateway_fails():
    assert closes_with(a_collecting_conversation().failed()) is CloseCode.INTERNAL_ERROR


def test_closes_with_1013_when_the_gateway_is_unavailable():
    assert closes_with(a_collecting_conversation().unavailable()) is CloseCode.TRY_LATER


@pytest.mark.rule("8.4")
@pytest.mark.parametrize("mode", list(StreamingMode))
def test_drains_at_once_with_4000_when_nothing_is_outstanding(mode):
    assert closes_with(a_collecting_conversation(mode).drain(0.0)) is CloseCode.DRAINED


def test_drains_with_4000_during_the_handshake():
    conversation = a_conversation()
    conversation.start(0.0)

    assert closes_with(conversation.drain(0.0)) is CloseCode.DRAINED


def test_lets_an_acknowledgement_under_way_arrive_while_it_drains():
    conversation = a_collecting_conversation()
    delivery_id, parcel, _ = hand_out(conversation)

    assert conversation.drain(50.0) == []
    assert conversation.drain(50.1) == []
    assert conversation.receive(delivery_id) == [Commit(parcel)]
    assert closes_with(conversation.committed()) is CloseCode.DRAINED


@pytest.mark.rule("8.4")
def test_drains_without_the_acknowledgement_after_the_grace():
    conversation = a_collecting_conversation()
    hand_out(conversation)
    conversation.drain(50.0)

    assert conversation.tick(50.0 + DRAIN_GRACE / 2) == []
    assert closes_with(conversation.tick(50.0 + DRAIN_GRACE)) is CloseCode.DRAINED


def test_hands_out_nothing_that_was_fetched_while_it_drains():
    conversation = a_collecting_conversation(window=2)
    hand_out(conversation)
    conversation.drain(50.0)

    assert conversation.fetched(CollectedParcel(2, b"late")) == []


def test_says_nothing_after_it_closed():
    conversation = a_collecting_conversation()
    conversation.failed()

    assert conversation.is_closed
    assert conversation.receive("c0ffee-1") == []
    assert conversation.fetched(CollectedParcel(1, b"parcel")) == []
    assert conversation.authenticated() == []
    assert conversation.refused() == []
    assert conversation.committed() == []
    assert conversation.drain(0.0) == []
    assert conversation.tick(1e9) == []


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("value", "window"),
    [
        (None, 1),
        ("", 1),
        ("1", 1),
        (" 3 ", 3),
        ("5", 5),
        ("6", 5),
        ("9999", 5),
        ("0", 1),
        ("-2", 1),
        ("x", 1),
        ("9" * 99, 1),
        ("²", 1),
    ],
)
def test_keeps_the_window_within_1_and_5(value, window):
    assert parse_window(value) == window


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ([], StreamingMode.KEEP_ALIVE),
        (["keep-alive"], StreamingMode.KEEP_ALIVE),
        (["whatever"], StreamingMode.KEEP_ALIVE),
        (["close-upon-completion"], StreamingMode.CLOSE_UPON_COMPLETION),
        ([" Close-Upon-Completion"], StreamingMode.CLOSE_UPON_COMPLETION),
    ],
)
def test_keeps_alive_unless_completion_is_asked_for(values, mode):
    assert parse_mode(values) is mode


@given(st.text(max_size=40))
def test_never_takes_a_foreign_text_for_an_id_that_it_gave_out(text):
    ids = DeliveryIds("c0ffee")
    known = {ids.next() for _ in range(3)}

    assert ids.is_ours(text) == (text in known)


class Collecting(RuleBasedStateMachine):
    """Whatever the order of events: the window holds, and each parcel is committed once."""

    def __init__(self):
        super().__init__()
        self.window = 3
        self.conversation = a_conversation(StreamingMode.CLOSE_UPON_COMPLETION, self.window)
        self.conversation.start(0.0)
        self.conversation.receive(b"response")
        self.fetches = self.commits = 0
        self.outstanding = {}
        self.committed_parcels = []
        self.queued = 0
        self.close = None
        self.take(self.conversation.authenticated())

    def take(self, actions):
        for action in actions:
            assert self.close is None
            match action:
                case Fetch():
                    self.fetches += 1
                case SendMessage(message):
                    delivery = ParcelDelivery.parse(message)
                    self.outstanding[delivery.delivery_id] = delivery.parcel
                case Commit(parcel):
                    self.commits += 1
                    self.committed_parcels.append(parcel.parcel)
                case Close():
                    self.close = action.code

    @precondition(lambda self: self.fetches)
    @rule()
    def a_parcel_comes(self):
        self.fetches -= 1
        self.queued += 1
        self.take(self.conversation.fetched(CollectedParcel(self.queued, b"%d" % self.queued)))

    @precondition(lambda self: self.fetches)
    @rule()
    def the_queue_is_empty(self):
        self.fetches -= 1
        self.take(self.conversation.fetched(None))

    @precondition(lambda self: self.outstanding)
    @rule(data=st.data())
    def an_acknowledgement_comes(self, data):
        delivery_id = data.draw(st.sampled_from(sorted(self.outstanding)))
        del self.outstanding[delivery_id]
        self.take(self.conversation.receive(delivery_id))

    @precondition(lambda self: self.commits)
    @rule()
    def a_commit_ends(self):
        self.commits -= 1
        self.take(self.conversation.committed())

    @precondition(lambda self: self.close is not None)
    @rule()
    def something_comes_after_the_end(self):
        assert self.conversation.receive("late") == []

    @invariant()
    def the_window_holds(self):
        assert len(self.outstanding) <= self.window
        assert self.fetches <= 1

    @invariant()
    def nothing_is_committed_twice(self):
        assert len(set(self.committed_parcels)) == len(self.committed_parcels)

    @invariant()
    def it_completes_only_when_all_is_settled(self):
        if self.close is not None:
            assert self.close is CloseCode.COMPLETED
            assert not self.outstanding
            assert not self.commits

    @invariant()
    def it_is_never_stuck(self):
        assert self.close is not None or self.fetches or self.outstanding or self.commits


TestCollecting = Collecting.TestCase
