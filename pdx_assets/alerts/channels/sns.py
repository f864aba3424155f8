"""Channel *sns*: an Amazon SNS topic; credentials and endpoint as boto3 finds them in the environment."""

from __future__ import annotations

from dataclasses import dataclass

from pdx_assets.alerts.channels.base import TIMEOUT_SECONDS
from pdx_assets.alerts.message import Message
from pdx_assets.risk.errors import AlertError

# Of Publish (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html): ASCII, below 100 characters.
SUBJECT_LIMIT = 99


@dataclass(frozen=True)
class SnsChannel:
    """A topic by its ARN, which names its region."""

    topic: str
    timeout: float = TIMEOUT_SECONDS
    name: str = "sns"

    @property
    def target(self) -> str:
        return self.topic

    def send(self, message: Message) -> str:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        # One try here: the outbox tries again, later and without holding up a tick.
        config = Config(connect_timeout=self.timeout, read_timeout=self.timeout, retries={"total_max_attempts": 1})
        try:
            # A session of its own: boto3's shared one keeps the first credentials it found.
            client = boto3.Session().client("sns", region_name=self.topic.split(":")[3], config=config)
            answer = client.publish(
                TopicArn=self.topic,
                Subject=message.subject.encode("ascii", "replace").decode()[:SUBJECT_LIMIT],
                Message=message.text,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
                },
            )
        except (BotoCoreError, ClientError) as error:
            raise AlertError(f"{self.topic}: {error}".rstrip(".") + ".") from error
        return f"message {answer['MessageId']}"
