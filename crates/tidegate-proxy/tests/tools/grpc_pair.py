"""A real gRPC server, and a real gRPC client that calls it through the proxy (pip grpcio).

`server`: serves on a free port and prints it. `client ADDRESS`: makes calls of all four kinds and
prints one JSON object with what came of them. No protobuf: a message is bytes.
"""

import json
import sys
from concurrent import futures

import grpc

NAME = "tide.Gate"


def unary(request, context):
    context.send_initial_metadata((("x-first", "head"),))
    context.set_trailing_metadata((("x-last", "trailer"),))
    if request == b"fail":
        context.abort(grpc.StatusCode.INTERNAL, "as asked")
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    return request.upper()


def serve():
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Down": grpc.unary_stream_rpc_method_handler(
            lambda request, _: (b"%d" % n for n in range(int(request)))),
        "Up": grpc.stream_unary_rpc_method_handler(
            lambda requests, _: b"%d" % sum(len(r) for r in requests)),
        "Both": grpc.stream_stream_rpc_method_handler(
            lambda requests, _: (r[::-1] for r in requests)),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def call(address, root, name):
    if root:
        with open(root, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        options = (("grpc.ssl_target_name_override", name),)
        channel = grpc.secure_channel(address, credentials, options)
    else:
        channel = grpc.insecure_channel(address)
    seen = {}
    with channel:
        unary_call = channel.unary_unary(f"/{NAME}/Unary")
        answer, meta = unary_call.with_call(b"tide", timeout=30, metadata=(("x-mine", "1"),))
        seen["unary"] = answer.decode()
        seen["initial"] = dict(meta.initial_metadata()).get("x-first")
        seen["trailing"] = dict(meta.trailing_metadata()).get("x-last")
        for request in (b"fail", b"missing"):
            try:
                unary_call(request, timeout=30)
            except grpc.RpcError as error:
                seen[request.decode()] = f"{error.code().name} {error.details()}"
        down = channel.unary_stream(f"/{NAME}/Down")
        seen["down"] = sum(int(part) for part in down(b"1000", timeout=30))
        up = channel.stream_unary(f"/{NAME}/Up")
        # Ten megabytes, so that windows must be given back all the way.
        seen["up"] = int(up(iter([b"x" * 65536] * 160), timeout=60))
        both = channel.stream_stream(f"/{NAME}/Both")
        seen["both"] = [part.decode() for part in both(iter([b"ab", b"cd"]), timeout=30)]
    print(json.dumps(seen), flush=True)


if sys.argv[1] == "server":
    serve()
else:
    call(*(sys.argv[2:] + [None, None])[:3])
