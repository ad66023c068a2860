"""Functions of the user's, which no document can hold."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import model_validator

from inference.extensions.errors import InvalidExtension
from inference.extensions.parts import Extension, Name, Parameter, Program, total


class Function(Extension):
    """Outputs by a JAX function of the user's. It cannot be written down: a workspace with it cannot be saved.

    Attributes:
        inputs: names of more parameters that it reads.
        function: called with a mapping of names to numbers, or to vectors where there are more than one; gives all
            outputs in one array.
        residuals: called likewise, gives residuals: −log L has ½ Σ residual² more.
    """

    serialisable: ClassVar[bool] = False
    operator: Literal["callable"] = "callable"
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[Name, ...] = ()
    sets: tuple[Name, ...] = ()
    function: Callable[[Mapping[str, Any]], Any] | None = None
    residuals: Callable[[Mapping[str, Any]], Any] | None = None

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """As given."""
        return self.parameters

    @property
    def reads(self) -> tuple[str, ...]:
        """Its own parameters and the inputs."""
        return (*(each.name for each in self.parameters), *self.inputs)

    @property
    def changes(self) -> tuple[str, ...]:
        """As given."""
        return self.sets

    @model_validator(mode="after")
    def _does_something(self) -> "Function":
        if (self.function is None) != (not self.sets):
            raise ValueError("give 'sets' and 'function' together")
        if self.function is None and self.residuals is None:
            raise ValueError("give a 'function' or 'residuals'")
        return self

    def program(self, sizes: Mapping[str, int]) -> Program:
        """The functions themselves, and how the argument is cut into names (0: a number)."""
        cuts = tuple((name, 0 if sizes[name] == 1 else sizes[name]) for name in self.reads)
        program = (cuts, total(sizes, self.sets), self.function, self.residuals)
        self._try(program, sizes)
        return program, ()

    def _try(self, program: Any, sizes: Mapping[str, int]) -> None:
        """Trace the functions once, so that what is wrong with them is said here."""
        import jax

        from inference.extensions.operators import function

        try:
            jax.eval_shape(lambda at: function(at, program, ()), np.zeros(total(sizes, self.reads)))
        except Exception as error:  # whatever a user's code does
            reads = ", ".join(f"{name!r} ({sizes[name]})" for name in self.reads)
            raise InvalidExtension(
                f"the function of extension {self.name!r} does not work: {type(error).__name__}: {error}; it is given "
                f"{reads}, and has to give {program[1]} numbers for {', '.join(self.sets) or 'nothing'}"
            ) from error
