"""GuardrailsAI's Guards and validators, run as a check.

The library lives in processes of its own, never in ours: importing it takes seconds, it sends telemetry, it keeps
threads, and a validator that hangs inside a regular expression holds the interpreter, which no thread can be saved
from. There it has no network and none of our secrets, and what hangs is killed.

`settings` reads the rules · `check` is the check · `process` and `pool` keep the processes · `child`, `quiet`, `judge`
run inside them · `wire` is what is said between · `sentences` and `stream` are for streamed answers.
"""
