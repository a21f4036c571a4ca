"""A real ACME server (pip acme2certifier) on a free port of the loopback interface, with TLS.

Arguments: a directory to work in, the address of the proxy's plain HTTP listener, and the
certificate and key to serve HTTPS with. Prints the port. Every DNS name is the loopback address
here: the server asks for its proofs where the proxy listens, since a test has neither a DNS of
its own nor port 80. Nothing else of the server is touched: nonces, signatures, orders,
challenges and certificates are its own.
"""

import http.client
import os
import ssl
import subprocess
import sys

work, plain, chain, key = sys.argv[1:5]
ca_key, ca_cert = os.path.join(work, "ca.key"), os.path.join(work, "ca.pem")
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
     "/CN=acme test", "-keyout", ca_key, "-out", ca_cert],
    check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.makedirs(os.path.join(work, "certs"), exist_ok=True)
config = os.path.join(work, "acme_srv.cfg")
with open(config, "w", encoding="utf-8") as file:
    file.write(f"""[DEFAULT]
debug: False

[Nonce]
nonce_check_disable: False

[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {ca_key}
issuing_ca_cert: {ca_cert}
issuing_ca_crl: {os.path.join(work, "ca.crl")}
cert_save_path: {os.path.join(work, "certs")}
cert_validity_days: 10
save_cert_as_hex: True

[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {os.path.join(work, "acme.db")}

[Certificate]
revocation_reason_check_disable: False

[Challenge]
challenge_validation_disable: False
dns_01_support: False
tls_alpn_01_support: False

[Order]
tnauthlist_support: False
""")
os.environ["ACME_SRV_CONFIGFILE"] = config
os.environ["ACME2CERTIFIER_BASE_DIR"] = work

from acme2certifier.acme_srv import helper  # noqa: E402


def loopback(_logger, _host, dnssrv=None, catch_all=False):
    """Every name is here."""
    return (["127.0.0.1"] if catch_all else "127.0.0.1", False, None)


def port_80(_logger, host, path, pinned_ips, verify=True, timeout=30):
    """Port 80 of every name is the proxy's plain listener."""
    del pinned_ips, verify
    connection = http.client.HTTPConnection(plain, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return (answer.read().decode(), answer.status, None)
    except OSError as error:
        return (None, 500, str(error))
    finally:
        connection.close()


helper.fqdn_resolve = loopback
helper.url_get_dns_pinned = port_80

from wsgiref.simple_server import WSGIServer, make_server  # noqa: E402
from socketserver import ThreadingMixIn  # noqa: E402

from acme2certifier.share import acme2certifier_wsgi as wsgi  # noqa: E402


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request: a challenge is answered while its order is asked for."""

    daemon_threads = True


def application(environ, start_response):
    """The server's own, told that TLS is spoken."""
    environ["wsgi.url_scheme"] = "https"
    return wsgi.application(environ, start_response)


server = make_server("127.0.0.1", 0, application, server_class=Server,
                     handler_class=wsgi.get_handler_cls())
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
