"""Certificates that the `openssl` command makes, and a server whose OpenSSL judges them."""
import os, socket, ssl, subprocess, threading

NEW_KEY = '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'


class Certificates:
    """Authorities and what they have signed, made by OpenSSL in a folder."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def pem(self, name):
        return open(self.path(name)).read()

    def authority(self, name):
        self.request(name, '/CN=' + name, '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    def leaf(self, name, authority, subject, *names, usage='serverAuth'):
        """`name`.pem and `name`.key for the names, by the authority, or by itself without one."""
        signed = ['-CA', self.path(authority + '.pem'), '-CAkey', self.path(authority + '.key')] if authority else []
        alternative = ['-addext', 'subjectAltName=' + ','.join(names)] if names else []
        self.request(name, f'/CN={subject}', *signed, *alternative, '-addext', 'basicConstraints=critical,CA:FALSE', '-addext', f'extendedKeyUsage={usage}')

    def request(self, name, subject, *more):
        self.run('req', '-x509', *NEW_KEY, '-days', '2', '-subj', subject, '-keyout', self.path(name + '.key'), '-out', self.path(name + '.pem'), *more)

    def expired(self, name, authority, *names):
        self.run('req', '-new', *NEW_KEY, '-subj', '/CN=late', '-addext', 'subjectAltName=' + ','.join(names), '-keyout', self.path(name + '.key'), '-out', self.path('late.csr'))
        self.run('x509', '-req', '-in', self.path('late.csr'), '-CA', self.path(authority + '.pem'), '-CAkey', self.path(authority + '.key'), '-set_serial', '7',
                 '-days', '-1', '-copy_extensions', 'copy', '-out', self.path(name + '.pem'))

    def run(self, *arguments):
        ended = subprocess.run(['openssl', *arguments], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr

    def server(self, name):
        return {'key': self.pem(name + '.key'), 'cert': self.pem(name + '.pem')}

    def replace(self, name, by):
        """Puts the file `by` in the place of `name`, as a whole."""
        with open(self.path('next'), 'w') as file:
            file.write(self.pem(by))
        os.rename(self.path('next'), self.path(name))


class OpenSSL(threading.Thread):
    """A server that has OpenSSL itself judge the client, which then says why it refuses; takes no request."""

    def __init__(self, certificates, name, authority):
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates.path(name + '.pem'), certificates.path(name + '.key'))
        self.context.load_verify_locations(certificates.path(authority + '.pem'))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port, self.verdicts = self.listener.getsockname()[1], []
        self.start()

    def run(self):
        while True:
            connection = self.context.wrap_socket(self.listener.accept()[0], server_side=True, do_handshake_on_connect=False)
            try:
                connection.do_handshake()
            except ssl.SSLError as error:
                self.verdicts.append(error.reason)
            # What is not read would make the end a reset, and the alert be lost.
            with socket.socket(fileno=connection.detach()) as bare:
                bare.shutdown(socket.SHUT_WR)
                while bare.recv(65536):
                    pass
