"""
Detectors of keys and tokens.

They look for the few letters with which such a thing begins, and read on from there.
"""

from __future__ import annotations

import base64
import json
import re

from ._gates import has_long_word
from ._passwords import LEAST_DIFFERENT, is_key, named
from ._strength import is_mixed_case
from ._words import places, small_of


__all__ = ["find_api_keys", "find_cloud_keys", "find_jwts", "find_private_keys"]

Hits = list[tuple[int, int, str]]

_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}(?![\w-])", re.ASCII)


def find_jwts(text: str) -> Hits:
    """Find JSON Web Tokens, signed and encrypted ones, by their header."""
    if "eyJ" not in text:
        return []
    return [(*hit.span(), "jwt") for hit in _JWT.finditer(text) if _is_jwt(hit[0])]


def _is_jwt(found: str) -> bool:
    header = found.partition(".")[0]
    try:
        data = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and ("alg" in data or "enc" in data or "typ" in data)


_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:[^-]|-(?!----(?:END|BEGIN)))*+)(?P<end>-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:\\n(?=[\"']))?+)?+"
)
_WORDS_AFTER = re.compile(r"[^\w\n]{0,4}(?:[ ][a-z]{1,12}[\s.,;:!?]|\W*\Z)")
_PUTTY = re.compile(r"Private-Lines: [0-9]+\s(?:[A-Za-z0-9+/=]+\s?)+")


def find_private_keys(text: str) -> Hits:
    """Find private keys in PEM; of one that is cut off, all that follows."""
    hits: Hits = []
    if "PRIVATE KEY" in text:
        hits += [(*hit.span(), "private_key") for hit in _PEM.finditer(text) if _is_pem(hit)]
    if "Private-Lines:" in text:
        hits += [(*hit.span(), "private_key") for hit in _PUTTY.finditer(text)]
    return hits


def _is_pem(hit: re.Match[str]) -> bool:
    """Whether a key follows, or what may be one, and not the rest of a sentence or nothing."""
    return _WORDS_AFTER.match(hit["body"]) is None


def _tails(table: dict[str, str]) -> dict[str, re.Pattern[str]]:
    return {
        prefix: re.compile(f"{tail}(?![A-Za-z0-9_])", re.ASCII)
        for prefixes, tail in table.items()
        for prefix in prefixes.split()
    }


_API_KEYS = _tails(
    {
        # providers of models
        "sk-ant-": r"[\w-]{20,}",
        "sk-or-": r"[\w-]{20,}",
        "sk-proj- sk-svcacct- sk-admin- sk-None-": r"[\w-]{20,}",
        "sk-lf- pk-lf-": r"[0-9a-f-]{30,}",
        "sk-": r"(?:[A-Za-z0-9]{20,}|[A-Za-z0-9]{2,12}-[\w-]{20,})",
        "gsk_": r"[A-Za-z0-9]{40,}",
        "hf_ api_org_": r"[A-Za-z0-9]{30,}",
        "xai-": r"[A-Za-z0-9]{40,}",
        "r8_": r"[A-Za-z0-9]{30,}",
        "pplx-": r"[A-Za-z0-9]{32,}",
        "nvapi-": r"[\w-]{40,}",
        "csk-": r"[A-Za-z0-9]{32,}",
        "fw_": r"[A-Za-z0-9]{20,}",
        "tvly-": r"[\w-]{20,}",
        "pcsk_": r"[\w-]{30,}",
        "lsv2_pt_ lsv2_sk_": r"[0-9a-f_]{30,}",
        "jina_ fc- pa- esecret_ rpa_ sess- ls__": r"[\w-]{28,}",
        "sk-helicone-": r"[\w-]{20,}",
        "tgp_v1_ apify_api_ sb_secret_": r"[\w-]{24,}",
        "re_": r"[A-Za-z0-9]{6,10}_[A-Za-z0-9]{20,}",
        "phx_ phs_": r"[A-Za-z0-9]{32,}",
        # where code and packages are
        "ghp_ gho_ ghu_ ghs_ ghr_": r"[A-Za-z0-9]{36,}",
        "github_pat_": r"\w{50,}",
        "glpat- glptt- gldt- glrt- gloas- glcbt- glsoat- glft- glagent- glimt-": r"[\w.-]{20,}",
        "npm_": r"[A-Za-z0-9]{36}",
        "pypi-": r"[\w-]{50,}",
        "dckr_pat_ dckr_oat_": r"[\w-]{27,}",
        # what applications talk to
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd- xapp-": r"[\w-]{10,}",
        "sk_live_ rk_live_ sk_test_ rk_test_ whsec_": r"[A-Za-z0-9+/=]{16,}",
        "SG.": r"[\w-]{16,32}\.[\w-]{16,64}",
        "key-": r"[0-9a-f]{32}",
        "shpat_ shpca_ shppa_ shpss_": r"[0-9a-fA-F]{32}",
        "dapi": r"[0-9a-f]{32}(?:-\d)?",
        "hvs. hvb. hvr.": r"[\w-]{24,}",
        "lin_api_": r"[A-Za-z0-9]{30,}",
        "ntn_ secret_": r"[A-Za-z0-9]{40,}",
        "PMAK-": r"[0-9a-f]{24}-[0-9a-f]{34}",
        "sbp_": r"[0-9a-f]{40}",
        "figd_": r"[\w-]{35,}",
        "ATATT3 ATCTT3": r"[\w=-]{50,}",
        "oy2": r"[a-z0-9]{43}",
        "AKCp": r"[A-Za-z0-9]{60,}",
        "sgp_ waka_ fo1_ rdme_ shippo_live_ dt0c01.": r"[\w.-]{32,}",
        "access-production- access-sandbox-": r"[0-9a-f-]{36}",
        "NRII- NRAA- NRJS-": r"[\w-]{19,}",
        "sq0csp- sq0atp-": r"[\w-]{22,}",
        "dp.pt. dp.st.": r"[\w.-]{40,}",
        "sntrys_ sntryu_ glsa_ glc_ atlasv1. pul- rubygems_ CFPAT- CCIPAT_ bkua_": r"[\w.=+/-]{28,}",
        "NRAK-": r"[A-Z0-9]{27}",
        "sk.eyJ": r"[\w.-]{40,}",
        "pat-na1- pat-eu1-": r"[0-9a-f-]{36}",
        "HRKU- rnd_ nfp_ pscale_tkn_ napi_ tfp_ ops_ PMAT- EZAK FLWSECK-": r"[\w-]{24,}",
        "rzp_live_ rzp_test_": r"[A-Za-z0-9]{14,}",
        "xkeysib- xsmtpsib-": r"[0-9a-f]{64}-\w{16}",
        "EAACEdEose0cBA EAAA": r"[\w-]{40,}",
        "sl.": r"[\w-]{60,}",
        "sk_": r"[0-9a-f]{40,}",
        "sqp_ sqa_ squ_": r"[0-9a-f]{40}",
        "tskey-": r"(?:auth|api|client|webhook|scim)-[\w-]{20,}",
        "cio": r"[A-Za-z0-9]{32}",
        "pat": r"[A-Za-z0-9]{14}\.[0-9a-f]{64}",
        "ATBB": r"[A-Za-z0-9]{32}",
        "mlsn.": r"[0-9a-f]{64}",
        "pscale_pw_ pscale_oauth_ duffel_live_ duffel_test_ CLOJARS_ ddp_ shpua_": r"[\w-]{28,}",
        "FLWSECK_TEST- FLWSECK_LIVE-": r"[\w-]{12,}",
        "cmVmdGtu": r"[A-Za-z0-9]{50,}",
        "eyJrIjoi": r"[\w+/]{60,}={0,2}",
        "v1.0-": r"[0-9a-f]{24}-[0-9a-f]{140,}",
        "AGE-SECRET-KEY-1": r"[0-9A-Z]{58}",
        "SK AC": r"[0-9a-f]{32}",
        "https://hooks.slack.com/services/ hooks.slack.com/services/": r"T\w{6,}/B\w{6,}/\w{16,}",
        "discord.com/api/webhooks/ discordapp.com/api/webhooks/": r"\d{16,20}/[\w-]{50,}",
    }
)
_TELEGRAM = re.compile(r"(?<![\w-])\d{8,10}:AA[\w-]{32,34}(?![\w-])", re.ASCII)
_DISCORD = re.compile(r"\.[\w-]{6}\.[\w-]{27,40}(?![\w-])", re.ASCII)
_DISCORD_USER = re.compile(r"(?<![\w-])[MNO][\w-]{22,27}\Z", re.ASCII)
_ATLAS = re.compile(r"\.atlasv1\.[\w-]{60,}(?![\w-])", re.ASCII)
_ATLAS_USER = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\Z")
_LONGEST_USER = 32
_CLOUD_KEYS = _tails(
    {
        "AKIA ASIA ABIA ACCA AGPA AIDA AROA AIPA ANPA ANVA": r"[A-Z0-9]{16}",
        "AIza": r"[\w-]{35}",
        "AQ.": r"[\w-]{40,}",
        "AKLT ALTAK": r"[A-Za-z0-9]{20,}",
        "SCW": r"[A-Z0-9]{17}",
        "ya29. t1.": r"[\w.-]{20,}={0,2}",
        "GOCSPX-": r"[\w-]{28}",
        "GOOG": r"[A-Z0-9]{20,61}",
        "LTAI": r"[A-Za-z0-9]{12,24}",
        "AKID": r"[A-Za-z0-9]{32,40}",
        "IQoJb3JpZ2lu FwoGZXIvYXdz": r"[\w+/=]{60,}",
        "AQVN": r"[\w-]{35,}",
        "dop_v1_ doo_v1_ dor_v1_": r"[0-9a-f]{64}",
    }
)
_CLOUD_BEGINNINGS = tuple(_CLOUD_KEYS)
_LABELLED_CLOUD_KEY = re.compile(
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature|[?&]sig)=([\w+/%-]{40,}={0,2})"
    r"|(?i:aws.{0,20}secret.{0,20}|secret.{0,3}access.{0,3}key.{0,10}?)[\"'\s:=]{1,5}"
    r"([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])",
    re.ASCII,
)
_AZURE_KEY = re.compile(
    r"(?i:key)\d?[\"']?[ \t]{0,3}[\s:=][\"' \t]{0,3}([A-Za-z0-9+/]{86}==)(?![\w=])"
)
_BESIDE_ID = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])[\s\S]{1,64}?(?<![A-Za-z0-9+/=])([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])"
)
_AZURE_SECRET = re.compile(r"(?<![\w~.-])[\w~.-]{3}8Q~[\w~.-]{31,34}(?![\w~-])", re.ASCII)
_MAILCHIMP = re.compile(r"(?<![\w-])[0-9a-f]{32}-us[0-9]{1,2}(?![\w-])")


def find_api_keys(text: str) -> Hits:
    """Find keys that begin as those of known providers do."""
    if not has_long_word(text):
        return []
    hits = _begun(text, _API_KEYS, "api_key")
    if "-us" in text:
        hits += [(*hit.span(), "api_key") for hit in _MAILCHIMP.finditer(text)]
    if ":AA" in text:
        hits += [(*hit.span(), "api_key") for hit in _TELEGRAM.finditer(text)]
    hits += _after_user(text, _DISCORD, _DISCORD_USER)
    if ".atlasv1." in text:
        hits += _after_user(text, _ATLAS, _ATLAS_USER)
    return hits + [
        hit
        for hit in named(text, small_of(text))
        if hit[2] == "api_key" and not text.startswith(_CLOUD_BEGINNINGS, hit[0])
    ]


def _after_user(text: str, pattern: re.Pattern[str], user: re.Pattern[str]) -> Hits:
    """Tokens that begin with the id of somebody, which is looked for from their first full stop on."""
    hits: Hits = []
    for hit in pattern.finditer(text):
        who = user.search(text, max(0, hit.start() - _LONGEST_USER), hit.start())
        if who is not None:
            hits.append((who.start(), hit.end(), "api_key"))
    return hits


def find_cloud_keys(text: str) -> Hits:
    """Find keys of cloud accounts: by their beginning, or by the name that stands before them."""
    if not has_long_word(text) and "ecret" not in text:
        return []
    hits = _begun(text, _CLOUD_KEYS, "cloud_key")
    if "8Q~" in text:
        hits += [(*hit.span(), "cloud_key") for hit in _AZURE_SECRET.finditer(text)]
    if (
        "Access" in text
        or "AccountKey" in text
        or "sig=" in text
        or "ecret" in text
        or "SECRET" in text
    ):
        for hit in _LABELLED_CLOUD_KEY.finditer(text):
            group = 1 if hit[1] is not None else 2
            if len(set(hit[group])) >= LEAST_DIFFERENT:
                hits.append((*hit.span(group), "cloud_key"))
    if "==" in text:
        hits += [(*hit.span(1), "cloud_key") for hit in _AZURE_KEY.finditer(text)]
    if "AKIA" in text or "ASIA" in text:
        hits += [
            (*hit.span(1), "cloud_key")
            for hit in _BESIDE_ID.finditer(text)
            if is_mixed_case(hit[1]) and any(c.isdigit() for c in hit[1])
        ]
    has_id = bool(hits)
    for start, end, kind in named(text, small_of(text)):
        if kind == "cloud_key" or (has_id and _is_secret_key(text, start)):
            hits.append((start, end, "cloud_key"))
    return hits


def _begun(text: str, tails: dict[str, re.Pattern[str]], kind: str) -> Hits:
    hits = []
    for prefix, tail in tails.items():
        if prefix in text:
            for at in places(text, prefix):
                if at and (
                    (text[at - 1].isalnum() and text[at - 1].isascii()) or text[at - 1] in "_-"
                ):
                    continue
                found = tail.match(text, at + len(prefix))
                if found is not None and len(set(found[0])) >= LEAST_DIFFERENT:
                    hits.append((at, found.end(), kind))
    return hits


_SECRET_KEY = re.compile(r"secret[_-]?(?:access[_-]?)?key[\"'\s:=]{1,5}\Z", re.IGNORECASE)


def _is_secret_key(text: str, at: int) -> bool:
    """Whether what stands here is called the secret that goes with the id of a key."""
    return _SECRET_KEY.search(text, max(0, at - 24), at) is not None and is_key(text[at : at + 20])
