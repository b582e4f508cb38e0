"""The official forget lists of MLLMU-Bench, as its review-time supplement published them.

Three independent shuffles, not nested: 10 % shares one person with 5 %, and 15 % shares three with 5 % and eight with 10 %.
"""

from __future__ import annotations

from collections.abc import Mapping

OFFICIAL_FORGET: Mapping[int, tuple[str, ...]] = {
    5: tuple("""093 279 303 409 309 073 472 316 259 144 010 241 347 119 190 323 272 016 196 493 270 110 156 336 246""".split()),
    10: tuple(
        """252 124 182 215 361 468 396 264 378 239 067 386 363 487 135 371 433 480 357 140 087 383 169 155 394 485 428 476 074
        470 458 165 413 495 365 290 430 032 321 044 345 338 475 225 372 248 035 172 276 309""".split()
    ),
    15: tuple(
        """098 363 481 384 058 407 480 351 375 022 009 413 462 294 451 293 438 016 441 372 052 174 433 268 321 478 386 412 100
        204 391 343 123 255 282 497 454 298 093 061 050 179 464 349 141 040 226 496 344 281 389 079 005 250 101 019 334 147 361
        081 494 152 258 247 415 245 261 137 418 075 091 004 284 184 259""".split()
    ),
}
"""Percent -> ids, in the published order."""
