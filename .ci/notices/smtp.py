"""An SMTP server that tells what it gets: `smtp.py PORT`, until its input ends.

The first line of the output says that it listens; each line after it is a mail, as a JSON object. Addresses that begin with
`nobody@` are refused for good.
"""

import json
import sys
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 there is no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        mail = {
            "from": str(message["from"]),
            "to": envelope.rcpt_tos,
            "subject": str(message["subject"]),
            "id": str(message["message-id"]),
            "text": message.get_content().replace("\r\n", "\n"),
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


controller = Controller(Mailbox(), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
print("listening", flush=True)
sys.stdin.read()
controller.stop()
