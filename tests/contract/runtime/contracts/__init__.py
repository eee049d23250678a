"""What every transport promises, each promise a function of a world.

``test_transports`` runs them; by themselves they have no world and are not collected.
"""

from tests.contract.runtime.contracts.asking import ASKING
from tests.contract.runtime.contracts.following import FOLLOWING
from tests.contract.runtime.contracts.pulling import PULLING
from tests.contract.runtime.contracts.scheduling import SCHEDULING
from tests.contract.runtime.contracts.storing import STORING, Contract
from tests.contract.runtime.contracts.working import WORKING

CONTRACTS: tuple[Contract, ...] = (
    *STORING,
    *SCHEDULING,
    *PULLING,
    *FOLLOWING,
    *ASKING,
    *WORKING,
)

__all__ = ["CONTRACTS", "Contract"]
