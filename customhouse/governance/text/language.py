"""How much a text reads like English, by its pairs of letters: what ciphers and mirrors are recognized by.

Other languages in Latin letters read far more like English than their own mirror image or ROT13 does, so they are told
from both as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_COSTS = (
    "K?<>LC@J=OA:<7P?Q9:8B@FJ>L9"
    "9CGJ5NOK<AW8EN8HS;AE:LRN;Y="
    "8P>M8RP8<W<=LQ7MN<C9=OTYER<"
    ";IK@8NGL:MRDGG;NW??L@GMRC]3"
    "<H><?CDJESJ=?:FAF8:=IAC@DP4"
    "=TNR:<QZ8VR?MQ6SX:J><WNSAZ5"
    "<KMI7JA;:WNAH?<JZ;?E=QNZBX4"
    "7NPJ3SQR:[THHC9NUAH>BTMYCP8"
    "?C;==>?UMRB<>6:@H>99I?TJPD;"
    "7JLH6NQL@EMQJI6ENG?G6ONOKU;"
    ">JMD4HGG8OLCF<CHPG;HCWKUD[5"
    "9HE;7DIO9SF9FK:ASI>?>FHR<V7"
    "7>JH5LPO;WVG>G::UL@N>UNU=S7"
    "<K=9:C9K>LCDKC=CTJ<8ADNO@P5"
    "ED??D;AGBJA><7?@U8?=8@=IHR9"
    "9NJD8JI?;XO8CM9=Y8?;;LTE@[:"
    "DLKGIJJLHMPAUNUPNFKI0UHHUP;"
    ":HA>6GCM:]AC@@:EW@<=@DIW>V6"
    "?N=J8HP=<ZCFEI=?JK;8=MBYAR4"
    "<MF=9KR69ZUDGM:CT=>AAQDOAQ6"
    "?@>?;J@O@SJ9=:J?X878SNVHHL8"
    "9OOP2LMQ6WTLSO=J[KGTIW[SK[@"
    "8NLK9MZ77VLEQ?8J]=AILVFUK]7"
    "9H:K<JJB;SWJHOE6NQL7EQNE@S6"
    "DFFC=MNMAUMDBC5@ZG<@KOGXQG3"
    "8GIJ3KJF:OHAGF=OMEFKEOGOA;8"
    "8><=?=@>:DD?=><=F>:7@D<L>M@"
)
"""Row by row, for a to z and anything else: how unlikely each of these 27 is next, -4 ln p as a character from `0` up.
Counted over 3.9 million pairs in 14,328 benign English rows, code left out, of the data that train the abuse model.
"""

_OTHER = 26
_PAIR = -0.25 * (np.frombuffer(_COSTS.encode(), np.uint8).astype(np.float32) - ord("0")).reshape(27, 27)


def _letters() -> NDArray[Any]:
    codes = np.full(256, _OTHER, np.uint8)
    for number in range(26):
        codes[ord("a") + number] = codes[ord("A") + number] = number
    return codes


_LETTERS = _letters()
_ROT13 = np.array([*((number + 13) % 26 for number in range(26)), _OTHER])
_BLOCK = 16_384
_LINE_END = np.float32(-1e4)


ROT13_GAINS: Floats = (_PAIR[np.ix_(_ROT13, _ROT13)] - _PAIR).ravel()
REVERSED_GAINS: Floats = (_PAIR.T - _PAIR).ravel()
"""What a text gains by each pair of its letters where it is read in another way. In nats."""


_SIGNS = "abcdefghijklmnopqrstuvwxyz "
_PAIR_OF = {(a, b): float(_PAIR[i, j]) for i, a in enumerate(_SIGNS) for j, b in enumerate(_SIGNS)}
_UNKNOWN = -10.0


def pairs(text: str) -> NDArray[Any]:
    """An index for each two neighbouring characters, one fewer than there are characters."""
    codes = _LETTERS[np.frombuffer(text.encode("latin-1", "replace"), np.uint8)].astype(np.int16)
    return codes[:-1] * 27 + codes[1:]


def mean(text: str) -> float:
    """Mean log probability of a pair, in nats: about -2.3 for English, -2.9 for German, under -4 for random letters."""
    if len(text) < 2:
        return -10.0
    return float(_PAIR.ravel()[pairs(text)].mean())


def mean_of_word(word: str) -> float:
    """As `mean`, with the borders of the word; the quicker one for a few letters."""
    spelled = f" {word.lower()} "
    return sum(_PAIR_OF.get(pair, _UNKNOWN) for pair in pairwise(spelled)) / (len(word) + 1)


def stretches(text: str, indexes: NDArray[Any], gains: Floats, least: float) -> list[tuple[int, int]]:
    """Where within one line the gain adds up to `least` nats or more, from left to right and without overlap."""
    gain = gains[indexes]
    if "\n" in text:
        # A pair that a line's end is one half of ends every stretch.
        ends = np.frombuffer(text.encode("latin-1", "replace"), np.uint8) == ord("\n")
        gain[ends[:-1] | ends[1:]] = _LINE_END
    return [
        (start + first, start + last)
        for start, end in _promising(gain, least)
        for first, last in _rising(gain[start:end], least)
    ]


def _promising(gain: Floats, least: float) -> list[tuple[int, int]]:
    """From where a gain begins to where it is lost, for each that comes to `least`: nothing else need be looked at.

    Block by block, for arrays that fit no cache cost many times as much.
    """
    blocks: list[Floats] = []
    carried, is_any = np.float64(0), False
    for start in range(0, len(gain), _BLOCK):
        total = np.cumsum(gain[start : start + _BLOCK], dtype=np.float64) + carried
        risen = total - np.minimum.accumulate(np.minimum(total, 0.0))
        carried, is_any = risen[-1], is_any or bool(risen.max() >= least)
        blocks.append(risen.astype(np.float32))
    if not is_any:
        return []
    risen = np.concatenate(blocks)
    # Ends of regions: where all is lost. Each that holds enough is named once.
    lost = np.concatenate(([-1], np.flatnonzero(risen == 0), [len(risen)]))
    regions = np.unique(np.searchsorted(lost, np.flatnonzero(risen >= least)))
    return [(int(lost[region - 1]) + 1, int(lost[region])) for region in regions]


def _rising(gain: Floats, least: float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start, peak_at, risen, peak = 0, 0, 0.0, 0.0
    for position, step in enumerate([*gain.tolist(), float(_LINE_END)]):
        risen += step
        if risen > peak and step > _LINE_END:
            peak, peak_at = risen, position
        elif risen <= 0 or peak - risen >= least or step <= _LINE_END:
            # Nothing gained yet, or as much lost again as makes a stretch: what follows is another one.
            if peak >= least:
                found.append((start, peak_at + 2))
            start, risen, peak = position + 1, 0.0, 0.0
    return found
