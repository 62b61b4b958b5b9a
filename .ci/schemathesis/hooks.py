"""What Schemathesis cannot know of this API, as checks beside all of its own."""

import os

import schemathesis
from hypothesis import strategies
from schemathesis.core.parameters import ParameterLocation

# Why a request that fits its schema may be refused with 400, 412 or 422 all the same: for what is stored, or for fields that
# go together or exclude each other. The document says so in words. Codes of a schema (type, pattern, maximum …) are not here.
KINDS = {"idempotency-key-reused", "invalid-cursor", "precondition-failed"}
FAULTS = {
    "exceeds_open",  # more than is on its way
    "differs",  # from what the reservation says
    "exceeds",  # more money than there is
    "exclusive",  # one of two fields, not both
    "fixed",  # codes and skus are for ever
    "future",  # by the clock of the database
    "incomplete",  # some sides of a parcel, and not all
    "inactive",  # warehouse or channel
    "not_an_address",  # of mails: how their parts may look is more than a pattern says
    "not_callable",  # an address that is not public, or is none
    "not_linked",  # the warehouse and the channel
    "not_ordered",
    "no_address",  # of a warehouse that a parcel is to leave
    "nothing_allocated",
    "nul",  # refused everywhere, says the description
    "order",  # of the steps of a workflow
    "pair",  # latitude and longitude
    "past",  # by the clock of the database
    "refused",  # by a provider of labels
    "repeated",  # in a list whose items are told apart by one member
    "required",  # by another field, or of the whole that a patch makes
    "same",  # from here to here
    "self",  # a product as its own parent
    "taken",  # the orders of a channel go through another workflow
    "too_large",  # a discount: more than what it is taken off
    "too_many",
    "unavailable",  # a provider that is not set up
    "unexpected",  # a field that goes with another choice
    "unknown",  # nothing has this name
    "unpriced",  # nothing to take a discount off
    "weak",  # a password that is easy to guess
    "wrong",  # the present password is another one
    "zero",  # a change by nothing
}

# Lists of versions for If-Match; the pattern beside the format says the same.
TAGS = strategies.text("!#~abcXYZ019,;", max_size=20).map('"{}"'.format)
LISTS = strategies.lists(TAGS | TAGS.map("W/".__add__), min_size=1, max_size=3).map(", ".join)
schemathesis.openapi.format("entity-tags", strategies.just("*") | LISTS)

ended = set()

# The id of the key that the requests are made with.
OWN_KEY = os.environ["STOCKHOLD_KEY_ID"]


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """The key at hand is not revoked or rotated, or nothing would be tested any more: another is meant, which there is not."""
    if case.method != "GET" and (case.path_parameters or {}).get("id") == OWN_KEY:
        case.path_parameters["id"] = OWN_KEY[:-4] + "ffff"


def fail(message):
    raise AssertionError(message)


def is_success(response):
    return 200 <= response.status_code < 300


@schemathesis.check
def valid_data_is_refused_only_for_what_no_schema_can_say(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 412, 422):
        return
    problem = response.json()
    faults = problem.get("errors", [])
    if problem["type"].removeprefix("/problems/") not in KINDS and not all(f["code"] in FAULTS for f in faults):
        fail(f"The schema allows this, the server does not: {faults}")


@schemathesis.check
def batches_refuse_the_items_that_break_the_schema(ctx, response, case):
    """A batch is answered with 200 when its envelope is right, and each of its items on its own."""
    if case.meta is None or not case.path.endswith("/batch") or response.status_code != 200:
        return
    refused = any(result["status"] == 422 for result in response.json()["results"])
    if case.meta.is_negative_at(ParameterLocation.BODY) and not refused:
        fail("Every item was accepted")


@schemathesis.check
def what_is_ended_says_so(ctx, response, case):
    """In place of use_after_free: a released reservation and a revoked key can still be read, and are over."""
    if not case.path.startswith(("/v1/reservations/{id}", "/v1/keys/{id}")) or not is_success(response):
        return
    thing = case.path_parameters["id"]
    if case.method == "DELETE":
        ended.add(thing)
    elif thing in ended and response.json()["status"] == "active":
        fail(f"{thing} was ended, and is active")
