"""A collector of OTLP that is nobody's but the tests': gRPC and HTTP, as grpcio and opentelemetry-proto have them.

Takes the port of gRPC, 0 for any, and the files of a certificate and its key where it speaks TLS.

Prints a line of JSON with its two ports, then one for each batch: the headers that it came with, and its spans. Each line
of standard input says how it answers from then on: `take`, `refuse`, or `hang`. It ends with its standard input.
"""

import json
import os
import pathlib
import ssl
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

mode = "take"
changed = threading.Condition()


def say(line):
    # One call for a line, so that two threads' do not mix.
    os.write(1, (json.dumps(line) + "\n").encode())


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def span(given, resource, scope):
    return {
        "resource": resource,
        "scope": scope,
        "trace_id": given.trace_id.hex(),
        "span_id": given.span_id.hex(),
        "parent_span_id": given.parent_span_id.hex(),
        "trace_state": given.trace_state,
        "name": given.name,
        "kind": trace.Span.SpanKind.Name(given.kind),
        "start": given.start_time_unix_nano,
        "end": given.end_time_unix_nano,
        "attributes": attributes(given.attributes),
        "events": [event.name for event in given.events],
        "status": trace.Status.StatusCode.Name(given.status.code),
    }


def take(request, protocol, headers):
    """Says what came, and gives back whether it is taken."""
    spans = [
        span(given, attributes(of_resource.resource.attributes), of_scope.scope.name)
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for given in of_scope.spans
    ]
    with changed:
        answer = mode
    say({"protocol": protocol, "headers": headers, "answer": answer, "spans": spans})
    with changed:
        changed.wait_for(lambda: mode != "hang")
    return answer == "take"


class Collector(service_grpc.TraceServiceServicer):
    def Export(self, request, context):
        if not take(request, "grpc", dict(context.invocation_metadata())):
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return service.ExportTraceServiceResponse()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        is_ours = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
        request = service.ExportTraceServiceRequest.FromString(body)
        headers = {name.lower(): text for name, text in self.headers.items()}
        is_taken = is_ours and take(request, "http", headers)
        answer = service.ExportTraceServiceResponse().SerializeToString()
        self.send_response(200 if is_taken else 503)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def main():
    global mode
    port, *pair = sys.argv[1:]
    grpc_server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    service_grpc.add_TraceServiceServicer_to_server(Collector(), grpc_server)
    address = f"127.0.0.1:{port}"
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair:
        certificate, key = [pathlib.Path(file).read_bytes() for file in pair]
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        grpc_port = grpc_server.add_secure_port(address, credentials)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
    else:
        grpc_port = grpc_server.add_insecure_port(address)
    grpc_server.start()
    threading.Thread(target=http_server.serve_forever, daemon=True).start()
    say({"grpc": grpc_port, "http": http_server.server_port})
    for line in sys.stdin:
        with changed:
            mode = line.strip()
            changed.notify_all()
    os._exit(0)


main()
