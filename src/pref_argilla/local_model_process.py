"""The process in which the local language model runs: llama.cpp's own HTTP server, and nothing of pref_argilla.

Started by ``local_model.py`` with one JSON argument. Writes its address as one line to standard output when it answers,
and ends when standard input closes: however the parent ends, the pipe closes with it.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    wish = json.loads(sys.argv[1])
    # llama.cpp writes its log to the file descriptor itself; the line for the parent must stay alone.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = wish["file"]
    params.model_alias = {wish["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = wish["slots"]
    params.n_ctx = wish["slots"] * wish["context"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wish["threads"]
    # Errors only; the prompts that are answered are nobody's business in a log.
    params.verbosity = 1
    params.offline = True
    # Only the chat endpoint: no web page, no list of what others ask, no access from a web page in a browser.
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = ""
    # Its default keeps up to 8 GB of old prompts in memory.
    params.cache_ram_mib = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, file=answer, flush=True)
    sys.stdin.buffer.read()
    # Whatever it is still writing, nobody is left to read it.
    os._exit(0)


main()
