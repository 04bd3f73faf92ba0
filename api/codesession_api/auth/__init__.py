"""Who a request is from, as hashes: nothing behind this package sees a key, a token or a name.

`credentials` finds what a request presents, `keys` and `tokens` know whose it is, `combined` decides.
"""

from codesession_api.auth.combined import Authenticator, authenticator
from codesession_api.auth.credentials import PATH_KEY, take_path_key

__all__ = ["PATH_KEY", "Authenticator", "authenticator", "take_path_key"]
