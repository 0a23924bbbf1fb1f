"""Events over HTTP: from the page's process, which has the address, to the engine's, which has the data.

wire        requests and answers between the two processes, and where they meet
calling     the page's end
listening   the engine's end: a server in a thread of its own
reception   what is done with a request: bodies become chunks, outcomes become answers
bodies      from a body and its media type to records; cloudevents: the binary mode
"""
