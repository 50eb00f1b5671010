"""The simulated marketplace: a stream of product and behaviour events with planted faults. Pure and seeded."""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson

from streams.marketplace.catalogue import Article, build_catalogue
from streams.marketplace.events import BEHAVIOUR_FAULTS, PRODUCT_FAULTS, Event, FaultKind, Planted
from streams.marketplace.faults import damage_behaviour, damage_product
from streams.marketplace.shoppers import Session
from streams.marketplace.suppliers import SUPPLIERS, Offer, accepted_values, make_offer, product_key, write_offer

__all__ = ["Marketplace", "Mix"]

_T = TypeVar("_T")

_PRICE_FAULTS = frozenset(
    {
        FaultKind.PRICE_TIMES_100,
        FaultKind.PRICE_DIV_100,
        FaultKind.NEGATIVE_PRICE,
        FaultKind.CURRENCY_LABEL,
        FaultKind.PLACEHOLDER_PRICE,
        FaultKind.DUPLICATE_KEYS,
    }
)
_BLOCK = 12  # events that a replayed block sends again
_SALE_SHARE = 0.04  # of the price changes
_SETTLING = 15.0  # seconds in which events may still meet the catalogue as it was before a correction


@dataclass(frozen=True, slots=True)
class Mix:
    """How the stream is made up.

    rate: events per second once the catalogue is loaded. load_seconds: in which the catalogue comes in.
    families: per category, each of one or more articles; 24 give about 3,500 offers.
    held_back: share of the offers that comes in later. products: share of the events that are product events.
    product_faults, behaviour_faults: share of those events that are given a fault.
    """

    rate: float = 400.0
    load_seconds: float = 8.0
    families: int = 24
    held_back: float = 0.1
    products: float = 0.25
    product_faults: float = 0.045
    behaviour_faults: float = 0.016


@dataclass(order=True)
class _Due:
    """Something to be sent at a time: an offer as it should be, or a behaviour event once more."""

    at: float
    order: int
    offer: Offer | None = field(compare=False, default=None)
    event: Event | None = field(compare=False, default=None)


class Marketplace:
    """Suppliers that offer articles and change prices, shoppers and bots that look at them, and what goes wrong.

    The same seed, start and mix give the same events. Nothing is wrong until the catalogue is loaded.
    start: of the simulated time, which the events' time stamps follow; give the present, because a time that lies in
    the future is one of the planted faults.
    """

    def __init__(self, seed: int = 0, *, start: datetime | None = None, mix: Mix | None = None) -> None:
        self.mix = mix if mix is not None else Mix()
        self.start = (start if start is not None else datetime.now(UTC)).astimezone(UTC)
        self._rng = random.Random(seed)  # noqa: S311 -- a simulation, no secret
        self.articles = build_catalogue(self._rng, self.mix.families)
        self.offers = self._make_offers()
        self.run_seed = self._rng.getrandbits(64)

    @property
    def load_seconds(self) -> float:
        """Until the catalogue is loaded and faults begin."""
        return self.mix.load_seconds

    def events(self) -> Iterator[Event]:
        """Events in order of their time, without end. Each call starts anew, with the same events."""
        return _Run(self).events()

    def warm_up(self) -> Iterator[Event]:
        """The catalogue as it is loaded: clean product events."""
        return itertools.takewhile(lambda event: event.at < self.load_seconds, self.events())

    def _make_offers(self) -> list[Offer]:
        rng = self._rng
        numbers = rng.sample(range(1, 90_000), len(self.articles) * 2)
        offers: list[Offer] = []
        for article in self.articles:
            chosen = [supplier for supplier in SUPPLIERS if rng.random() < supplier.share]
            for supplier in (chosen or [rng.choice(SUPPLIERS)])[:4]:
                offers.append(make_offer(rng, supplier, article, numbers[article.number]))
        rng.shuffle(offers)
        return offers


class _Run:
    """One pass over a marketplace; keeps what changes."""

    def __init__(self, market: Marketplace) -> None:
        self._market = market
        self._mix = market.mix
        self._rng = random.Random(market.run_seed)  # noqa: S311 -- a simulation, no secret
        offers = [replace(offer) for offer in market.offers]  # prices change
        first = round(len(offers) * (1 - self._mix.held_back))
        self._loaded = offers[:first]
        self._new = deque(offers[first:])
        self._offered = list(self._loaded)  # what suppliers may update
        self._known = self._loaded[: max(1, first * 4 // 5)]  # what shoppers look at, most popular first
        self._sessions: list[Session] = []
        self._session_numbers = itertools.count(1)
        self._order = itertools.count()
        self._due: list[_Due] = []
        self._shadows: dict[str, tuple[FaultKind, float]] = {}
        self._recent: deque[Event] = deque(maxlen=60)

    def events(self) -> Iterator[Event]:
        mix, rng = self._mix, self._rng
        for number, offer in enumerate(self._loaded):
            # The record says when the supplier last touched the offer, some time before.
            touched = self._time(0) - timedelta(seconds=rng.uniform(60, 2_000_000))
            yield self._product(offer, mix.load_seconds * number / len(self._loaded), touched)
        at = mix.load_seconds
        while True:
            at += rng.expovariate(mix.rate)
            while self._due and self._due[0].at <= at:
                due = heapq.heappop(self._due)
                if due.offer is not None:
                    self._shadow_ends(due.offer, due.at)
                    yield self._product(due.offer, due.at)
                elif due.event is not None:
                    yield due.event
            yield self._product_event(at) if rng.random() < mix.products else self._behaviour_event(at)

    def _time(self, at: float) -> datetime:
        return self._market.start + timedelta(seconds=at)

    # --- products --------------------------------------------------------------------------------------------------

    def _product_event(self, at: float) -> Event:
        rng = self._rng
        draw = rng.random()
        if draw < 0.006 and len(self._offered) > len(self._known):
            return self._delete(at)
        if self._new and draw < 0.12:
            offer = self._new.popleft()
            self._offered.append(offer)
        else:
            offer = rng.choice(self._offered)
            while self._shadowed(offer, at):
                offer = rng.choice(self._offered)
            sale = rng.random() < _SALE_SHARE
            factor = rng.uniform(0.6, 0.8) if sale else rng.uniform(0.94, 1.06)
            offer.price = offer.supplier.round_price(offer.usual * factor)
        if rng.random() < self._mix.product_faults:
            return self._damaged_product(offer, at)
        return self._product(offer, at)

    def _product(self, offer: Offer, at: float, touched: datetime | None = None) -> Event:
        touched = touched if touched is not None else self._time(at)
        record = write_offer(offer, touched)
        return Event(
            topic="products",
            key=product_key(offer.identity),
            value=orjson.dumps(record),
            at=at,
            identity=offer.identity,
            article=offer.article.number,
            family=offer.article.family,
            clean=accepted_values(record, offer, touched),
        )

    def _damaged_product(self, offer: Offer, at: float) -> Event:
        clean = self._product(offer, at)
        record = write_offer(offer, self._time(at))
        while True:
            kind = self._draw(PRODUCT_FAULTS)
            other = self._article_elsewhere(offer.article)
            made = damage_product(self._rng, kind, record, clean.clean, offer, other)
            if made is not None:
                break
        value, planted = made
        self._later(at + self._rng.uniform(8, 20), offer=offer)
        # Until the correction nothing else is sent of this offer, and shoppers may meet its wrong price.
        self._shadows[offer.identity] = (kind, float("inf"))
        return replace(clean, value=value, planted=(planted,))

    def _delete(self, at: float) -> Event:
        """A product that no shopper looks at is taken out of the catalogue."""
        known = {id(offer) for offer in self._known}
        places = [
            place
            for place, offer in enumerate(self._offered)
            if id(offer) not in known and not self._shadowed(offer, at)
        ]
        if not places:
            return self._behaviour_event(at)
        offer = self._offered.pop(self._rng.choice(places))
        return Event(
            topic="products",
            key=product_key(offer.identity),
            value=None,
            at=at,
            identity=offer.identity,
            article=offer.article.number,
            family=offer.article.family,
        )

    def _article_elsewhere(self, article: Article) -> Article:
        while True:
            other = self._rng.choice(self._market.articles)
            if other.category.department != article.category.department:
                return other

    def _shadowed(self, offer: Offer, at: float) -> bool:
        shadow = self._shadows.get(offer.identity)
        return shadow is not None and at < shadow[1]

    def _shadow_ends(self, offer: Offer, at: float) -> None:
        kind, _ = self._shadows[offer.identity]
        self._shadows[offer.identity] = (kind, at + _SETTLING)

    # --- behaviour -------------------------------------------------------------------------------------------------

    def _behaviour_event(self, at: float) -> Event:
        rng = self._rng
        while len(self._sessions) < 150:
            self._sessions.append(Session(rng, next(self._session_numbers)))
        while True:
            place = rng.randrange(len(self._sessions))
            session = self._sessions[place]
            step = session.next_step(self._known)
            if step is not None:
                break
            self._sessions[place] = Session(rng, next(self._session_numbers))
        kind, offer, more = step
        when = self._time(at)
        record: dict[str, Any] = {
            "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "event_type": kind,
            "user_id": session.user,
            "session_id": session.session,
        }
        shadow = None
        if offer is not None:
            record |= {
                "supplier": offer.supplier.name,
                "sku": offer.sku,
                "price": offer.price,
                "currency": offer.supplier.currency,
            }
            standing = self._shadows.get(offer.identity)
            if standing is not None and at < standing[1] and standing[0] in _PRICE_FAULTS:
                shadow = standing[0]
        record |= {"occurred_at": f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z", **more}
        event = Event(
            topic="behaviors",
            key=session.user.encode(),
            value=orjson.dumps(record),
            at=at,
            identity=record["event_id"],
            clean={**{name: (value,) for name, value in record.items()}, "occurred_at": (when,)},
            shadow=shadow,
        )
        if rng.random() < self._mix.behaviour_faults:
            event = self._damaged_behaviour(event, record, at)
        else:
            self._recent.append(event)
        return event

    def _damaged_behaviour(self, event: Event, record: Mapping[str, Any], at: float) -> Event:
        while True:
            kind = self._draw(BEHAVIOUR_FAULTS)
            if kind is FaultKind.REPEATED_EVENT:
                self._again([event], at + self._rng.uniform(0.05, 5), kind)
                return event
            if kind is FaultKind.REPLAYED_BLOCK:
                if len(self._recent) >= _BLOCK:
                    start = self._rng.randrange(len(self._recent) - _BLOCK + 1)
                    block = list(self._recent)[start : start + _BLOCK]
                    self._again(block, at + self._rng.uniform(1, 10), kind)
                    return event
                continue
            made = damage_behaviour(self._rng, kind, record, self._time(at))
            if made is not None:
                value, planted = made
                return replace(event, value=value, planted=(planted,))

    def _again(self, events: list[Event], at: float, kind: FaultKind) -> None:
        for number, event in enumerate(events):
            when = at + 0.001 * number
            planted = Planted(kind, None, str(event.identity), event.identity)
            self._later(when, event=replace(event, at=when, planted=(planted,)))

    # --- both ------------------------------------------------------------------------------------------------------

    def _later(self, at: float, *, offer: Offer | None = None, event: Event | None = None) -> None:
        heapq.heappush(self._due, _Due(at, next(self._order), offer, event))

    def _draw(self, weights: Mapping[_T, float]) -> _T:
        return self._rng.choices(list(weights), list(weights.values()))[0]
