"""S3's answers as XML (Amazon S3 API reference: ListObjects, ListObjectsV2, ListBuckets, GetBucketLocation, errors)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from delivery.service.s3.listing import Asked, Page, to_token

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
OWNER: Final = "skimflow"


def error(code: str, message: str, resource: str, request: str) -> bytes:
    """An error answer."""
    root = Element("Error")
    _put(root, Code=code, Message=message, Resource=resource, RequestId=request)
    return _bytes(root)


def buckets(found: Sequence[tuple[str, datetime]]) -> bytes:
    """The buckets, each with the time it was made at."""
    root = Element("ListAllMyBucketsResult", xmlns=NAMESPACE)
    _put(SubElement(root, "Owner"), ID=OWNER, DisplayName=OWNER)
    listed = SubElement(root, "Buckets")
    for name, made in found:
        _put(SubElement(listed, "Bucket"), Name=name, CreationDate=_time(made))
    return _bytes(root)


def location() -> bytes:
    """Where a bucket is: in the region that needs no name."""
    return _bytes(Element("LocationConstraint", xmlns=NAMESPACE))


def listing(bucket: str, asked: Asked, page: Page) -> bytes:
    """A page of a bucket's listing, of the version asked for."""

    def shown(text: str) -> str:
        return quote(text, safe="/-_.~") if asked.encoded else text

    root = Element("ListBucketResult", xmlns=NAMESPACE)
    _put(root, Name=bucket, Prefix=shown(asked.prefix), MaxKeys=str(asked.max_keys))
    if asked.delimiter:
        _put(root, Delimiter=shown(asked.delimiter))
    if asked.encoded:
        _put(root, EncodingType="url")
    _put(root, IsTruncated="false" if page.last is None else "true")
    if asked.version == 1:
        _put(root, Marker=shown(asked.start_after))
        if page.last is not None:
            _put(root, NextMarker=shown(page.last))
    else:
        _put(root, KeyCount=str(len(page.objects) + len(page.prefixes)))
        if asked.token is not None:
            _put(root, ContinuationToken=asked.token)
        if asked.start_after:
            _put(root, StartAfter=shown(asked.start_after))
        if page.last is not None:
            _put(root, NextContinuationToken=to_token(page.last))
    for listed in page.objects:
        entry = SubElement(root, "Contents")
        _put(entry, Key=shown(listed.name), LastModified=_time(listed.modified), ETag=f'"{listed.digest}"')
        _put(entry, Size=str(listed.size), StorageClass="STANDARD")
        if asked.version == 1 or asked.owners:
            _put(SubElement(entry, "Owner"), ID=OWNER, DisplayName=OWNER)
    for prefix in page.prefixes:
        _put(SubElement(root, "CommonPrefixes"), Prefix=shown(prefix))
    return _bytes(root)


def _put(parent: Element, **texts: str) -> None:
    for name, text in texts.items():
        SubElement(parent, name).text = "".join(sign if _may_stand(sign) else "\ufffd" for sign in text)


def _may_stand(sign: str) -> bool:
    """Whether XML 1.0 has the character."""
    return sign >= " " or sign in "\t\n\r"


def _time(moment: datetime) -> str:
    """Of the database: UTC without a zone."""
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _bytes(root: Element) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root)
