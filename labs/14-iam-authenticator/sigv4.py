"""What `aws eks get-token` does: sign a request to STS, and send it nowhere. Signature Version 4, by hand."""

import base64
import configparser
import datetime
import hashlib
import hmac
import os
from pathlib import Path
from urllib.parse import quote, urlencode

HOST = "sts.us-east-1.amazonaws.com"


def keys(profile="default"):
    """Key id and secret key of a profile, from the file that `aws configure` writes."""
    file = configparser.ConfigParser()
    file.read(Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser())
    return file[profile]["aws_access_key_id"], file[profile]["aws_secret_access_key"]


def token(cluster, minutes_ago=0, profile="default"):
    """A token for a cluster, as it would have been made so many minutes ago."""
    key_id, secret = keys(profile)
    when = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes_ago)
    time, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    scope = f"{day}/us-east-1/sts/aws4_request"
    query = urlencode(
        {
            "Action": "GetCallerIdentity",
            "Version": "2011-06-15",
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{key_id}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host;x-k8s-aws-id",
        },
        quote_via=quote,
        safe="",
    )
    # The request in its agreed form. The cluster's name is in it, and will not be in the token.
    request = f"GET\n/\n{query}\nhost:{HOST}\nx-k8s-aws-id:{cluster}\n\nhost;x-k8s-aws-id\n{sha256('')}"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request)}"
    # A key for this day, region and service only, made from the secret key.
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    url = f"https://{HOST}/?{query}&X-Amz-Signature={signature}"
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()
