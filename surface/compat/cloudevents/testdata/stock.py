"""Sends events as programs do that know nothing of Leat: with the CloudEvents
SDK (both of its generations) and with Azure's client of Event Grid."""

import sys
from datetime import datetime, timezone

import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent as AzureCloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.http import to_binary, to_structured

url, key = sys.argv[1], sys.argv[2]
at = datetime(2026, 3, 29, 1, 59, 59, tzinfo=timezone.utc)


def send(headers, body):
    headers = {**headers, "Authorization": "Bearer " + key}
    answer = requests.post(url, data=body, headers=headers, timeout=60)
    assert answer.status_code == 202, (answer.status_code, answer.text)


for number, convert in enumerate([to_binary_event, to_structured_event]):
    event = CloudEvent(
        attributes={"id": f"new-{number}", "source": "/shop", "type": "order", "specversion": "1.0", "time": at,
                    "datacontenttype": "application/json", "subject": "Größe \"M\" 100%", "partitionkey": "ann"},
        data={"amount": 12.5, "note": "ü"},
    )
    message = convert(event)
    send(dict(message.headers), message.body)

for number, convert in enumerate([to_binary, to_structured]):
    headers, body = convert(OldCloudEvent({"id": f"old-{number}", "source": "/shop", "type": "order"}, {"amount": number}))
    send(dict(headers), body)

grid = EventGridPublisherClient(url, AzureKeyCredential(key), retry_total=0)
grid.send([EventGridEvent(id=f"grid-{n}", subject="orders", event_type="order", data={"amount": n}, data_version="1") for n in range(2)])
grid.send(AzureCloudEvent(id="azure", source="/shop", type="order", data={"amount": 3}))

try:
    EventGridPublisherClient(url, AzureKeyCredential("leat_bad"), retry_total=0).send(AzureCloudEvent(source="/shop", type="order"))
    raise AssertionError("an unknown key was taken")
except ClientAuthenticationError:
    pass
try:
    grid.send(AzureCloudEvent(id="x", source="/shop", type="order", extensions={"bad": "a\r\nb"}))
    raise AssertionError("two lines were taken")
except HttpResponseError as refused:
    assert refused.status_code == 400, refused
print("sent")
