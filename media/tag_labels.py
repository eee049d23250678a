"""Which of ImageNet's thousand classes make up each thing that a scene may be said to show.

One class of a thousand is too fine: a street spreads over twenty kinds of car. Classes are summed
into things, and things into kinds; a scene whose thing is in doubt may still show an animal. What
is in no list (a hook, a maze, a velvet) is never named. There is no class for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

CLASSES: Final = 1_000

_THINGS: Final[Mapping[str, str]] = {
    # a class, or the first and the last of several
    "fish": "0-6 389-397",
    "bird": "7-24 80-100 127-146",
    "amphibian": "25-32",
    "reptile": "33-50 52-68",
    "spider": "70 72-77 815",
    "insect": "300-326",
    "sea creature": "107-111 115-126 327-329 973",
    "sea mammal": "147-150",
    "dog": "151-268",
    "wolf or fox": "269-275 277-280",
    "cat": "281-285",
    "big cat": "286-293",
    "bear": "294-297 388",
    "rodent or rabbit": "330-338",
    "wild animal": "102-106 276 298-299 356-364 387",
    "hoofed animal": "339-355",
    "monkey": "365-384",
    "elephant": "101 385-386",
    "car": "407 436 468 475 479 511 573 575 581 609 627 656 661 717 734 751 817",
    "truck": "555 569 675 864 867",
    "heavy machine": "517 561 586 595 730 803 847 856 866",
    "cart": "428 603 612 690",
    "bus": "654 779 874",
    "train": "466 547 565 705 820 829",
    "bicycle": "444 671 870 880",
    "motorcycle": "665 670",
    "boat": "403 472 484 510 554 576 625 628 694 724 780 814 833 871 913-914",
    "aircraft": "404-405 417 895 908",
    "rocket": "657 744 812",
    "fruit or vegetable": "936-946 948-957 987 998",
    "dish": "809 923-935 959-965",
    "drink": "440-441 503-504 550 572 737 898 907 966-969",
    "flower": "984-986 989",
    "mushroom": "947 991-997",
    "mountain": "970 972 979-980",
    "shore": "460 536 718 975-978",
    "bridge": "821 839 888",
    "building": "425 437 442 449 483 497 500 538 580 660 663 668 682 698 706 727 743 832 853 858"
    " 873 900 915",
    "shop": "415 424 454 467 509 582 762 788 860 865",
    "stage": "819 854",
    "traffic sign": "704 919-920",
    "furniture": "423 431 453 493 495 516 520 526 532 548 553 559 564 703 736 765 831 857 894",
    "kitchenware": "469 499 505 512 521 534 544 567 618 647 651 659 760 766 813 827-828 849 859"
    " 868 891 896 909-910",
    "electronics": "482 485 487 508 527 590 592 598 605 620 632 664 673 681 688 742 745 754"
    " 761 782 810 848 851",
    "camera": "732 759 872",
    "clock": "409 530-531 826 892",
    "clothing": "399-400 411 433 439 443 445 451-452 457 459 474 501-502 514-515 518 529 552"
    " 560 568 578 601 608 610 614 617 630 638-639 652 655 658 667 679 689 697 715 735 748 770"
    " 774-775 796 806 808 824 834 836-837 841-842 869 887 903 906",
    "sports gear": "416 422 429-430 522 543 574 602 693 702 722 746-747 752 768 795 801-802 805"
    " 852 890",
    "musical instrument": "401-402 420 432 486 494 513 541-542 546 558 566 577 579 593-594"
    " 641-642 683-684 687 699 776 822 875 881 889",
    "tool": "462 477 491 587 596 621 726 731 740 783-784 792 840 882",
    "weapon": "413 456 471 597 763-764",
    "toy": "611 723 850",
    "printed page": "446 916-918 921-922",
}
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "animal": (
        *("fish", "bird", "amphibian", "reptile", "spider", "insect", "sea creature"),
        *("sea mammal", "dog", "wolf or fox", "cat", "big cat", "bear", "rodent or rabbit"),
        *("wild animal", "hoofed animal", "monkey", "elephant"),
    ),
    "vehicle": (
        *("car", "truck", "heavy machine", "bus", "train", "bicycle", "motorcycle"),
        *("cart", "boat", "aircraft"),
    ),
    "food": ("fruit or vegetable", "dish", "drink"),
    "landscape": ("mountain", "shore"),
    "architecture": ("building", "bridge"),
}

THINGS: Final = tuple(_THINGS)
KINDS: Final = tuple(_KINDS)
KIND_OF: Final[Mapping[str, str]] = {
    thing: kind for kind, things in _KINDS.items() for thing in things
}
"""The kind of a thing, for those that have one."""


def classes_of(thing: str) -> tuple[int, ...]:
    """Return the classes that make up a thing.

    >>> classes_of("amphibian")
    (25, 26, 27, 28, 29, 30, 31, 32)
    """
    found: list[int] = []
    for part in _THINGS[thing].split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def membership(names: Sequence[str] = (*THINGS, *KINDS)) -> NDArray[np.float32]:
    """Return a matrix that sums class scores into those of the things and kinds named."""
    matrix = np.zeros((CLASSES, len(names)), np.float32)
    for column, name in enumerate(names):
        for thing in _KINDS.get(name, (name,)):
            matrix[list(classes_of(thing)), column] = 1.0
    return matrix
