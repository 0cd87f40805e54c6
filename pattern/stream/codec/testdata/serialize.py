"""Writes messages with the stock serializers, or reads ours.

write URL SET AVSC   serializes rows with confluent_kafka through the registry
                     at URL, and without one; a line a message: name, hex.
read URL SET         deserializes lines "avro HEX" and "proto HEX" of stdin.

SET is a file with the compiled descriptor of shop.Order.
"""
import datetime
import decimal
import io
import json
import sys

import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2  # noqa: F401

UTC = datetime.timezone.utc


def rows():
    for i in range(20):
        yield {
            "id": f"o{i}",
            "user": None if i % 5 == 4 else {"id": 1000 + i, "name": f"Zoë {i}"},
            "at": datetime.datetime(2026, 1, 31, 10, 0, i, 250000, tzinfo=UTC),
            "day": datetime.date(1969 + i, 12, 31),
            "amount": decimal.Decimal(i * 725 - 3000) / 100,
            "weight": i / 4,
            "state": ["PAID", "SENT"][i % 2],
            "items": [{"name": f"n{k}", "price": k + 0.5} for k in range(i % 4)],
            "labels": {"a.b": f"label {i}", "none": None, "n": i},
            "gift": i % 3 == 0,
            "points": None if i % 2 else -i,
            "buyer": {"id": i, "name": "b"},
            "hash": bytes([i, 255, 0, 1]),
        }


def orders(order):
    for i in range(20):
        o = order(id=f"o{i}" if i else "", amount=i * 0.25, state=i % 4, gift=i % 3 == 0, serial=2**63 + i, token=bytes([i, 255]))
        o.at.FromDatetime(datetime.datetime(2026, 1, 31, 10, 0, i, 250000, tzinfo=UTC))
        if i % 5 != 4:
            o.user.id, o.user.name = -i, f"Zoë {i}"
        for k in range(i % 4):
            o.items.add(name=f"n{k}", price=k + 0.5, count=-k)
        o.labels["a.b"] = f"label {i}"
        if i % 2 == 0:
            o.points = 0 if i == 0 else -i
        if i % 3 == 1:
            o.coupon.value = "" if i == 1 else f"c{i}"
        o.ratings.extend(range(i))
        if i % 2:
            o.site = "site"
        yield o


def main():
    what, url = sys.argv[1], sys.argv[2]
    client = SchemaRegistryClient({"url": url, "basic.auth.user.info": "reader:s3cret"})
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[3], "rb").read()).file:
        pool.Add(file)
    order = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
    context = SerializationContext("orders", MessageField.VALUE)
    if what == "read":
        avro, proto = AvroDeserializer(client), ProtobufDeserializer(order, {"use.deprecated.format": False})
        for line in sys.stdin:
            kind, text = line.split()
            raw = bytes.fromhex(text)
            if kind == "avro":
                print(json.dumps(avro(raw, context), default=str, sort_keys=True))
            else:
                o = proto(raw, context)
                print(json.dumps([o.id, o.user.id, o.user.name, o.at.ToJsonString() if o.HasField("at") else None, o.amount, o.state,
                                  o.points if o.HasField("points") else None, o.coupon.value if o.HasField("coupon") else None]))
        return
    text = open(sys.argv[4]).read()
    schema = fastavro.parse_schema(json.loads(text))
    serialize = AvroSerializer(client, text)
    for row in rows():
        plain = io.BytesIO()
        fastavro.schemaless_writer(plain, schema, row)
        print("fastavro", plain.getvalue().hex())
        print("avro", serialize(row, context).hex())
    context = SerializationContext("protos", MessageField.VALUE)
    serialize = ProtobufSerializer(order, client, {"use.deprecated.format": False})
    for o in orders(order):
        print("protobuf", o.SerializeToString().hex())
        print("proto", serialize(o, context).hex())


main()
