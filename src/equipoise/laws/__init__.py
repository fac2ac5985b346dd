"""What a method may claim, and the examination that every method takes.

Three states for each law and method: *claimed* (checked on every input family), *refuted* (a stored counter-example is
checked) and *not claimed*. `check_method(MyMethod())` is the whole examination, for methods of strangers too.
"""

from .cases import Case, cancelling, families
from .examination import Examination, check_method
from .law import Law, laws

__all__ = ["Case", "Examination", "Law", "cancelling", "check_method", "families", "laws"]
