"""
Detectors of what opens doors: keys, tokens and passwords.

They look for the few letters with which such a thing begins, and read on from there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from collections.abc import Iterator

from ._edges import UNSPACED
from ._gates import has_long_word


__all__ = [
    "find_api_keys",
    "find_cloud_keys",
    "find_jwts",
    "find_passwords",
    "find_private_keys",
    "is_secret",
]

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
    r"(?P<body>(?:[^-]|-(?!----(?:END|BEGIN)))*+)(?P<end>-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----)?+"
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
        "AGE-SECRET-KEY-1": r"[0-9A-Z]{58}",
        "SK AC": r"[0-9a-f]{32}",
        "hooks.slack.com/services/": r"T\w{6,}/B\w{6,}/\w{16,}",
        "discord.com/api/webhooks/ discordapp.com/api/webhooks/": r"\d{16,20}/[\w-]{50,}",
    }
)
_TELEGRAM = re.compile(r"(?<![\w-])\d{8,10}:AA[\w-]{32,34}(?![\w-])", re.ASCII)
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
_LABELLED_CLOUD_KEY = re.compile(
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature|[?&]sig)=([\w+/%-]{40,}={0,2})"
    r"|(?i:aws.{0,20}secret.{0,20}|secret.{0,3}access.{0,3}key.{0,10}?)[\"'\s:=]{1,5}"
    r"([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])",
    re.ASCII,
)
_AZURE_SECRET = re.compile(r"(?<![\w~.-])[\w~.-]{3}8Q~[\w~.-]{31,34}(?![\w~-])", re.ASCII)
_MAILCHIMP = re.compile(r"(?<![\w-])[0-9a-f]{32}-us[0-9]{1,2}(?![\w-])")
_LEAST_DIFFERENT = 8


def find_api_keys(text: str) -> Hits:
    """Find keys that begin as those of known providers do."""
    if not has_long_word(text):
        return []
    hits = _begun(text, _API_KEYS, "api_key")
    if "-us" in text:
        hits += [(*hit.span(), "api_key") for hit in _MAILCHIMP.finditer(text)]
    if ":AA" in text:
        hits += [(*hit.span(), "api_key") for hit in _TELEGRAM.finditer(text)]
    return hits + [hit for hit in _named(text, _small(text)) if hit[2] == "api_key"]


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
            if len(set(hit[group])) >= _LEAST_DIFFERENT:
                hits.append((*hit.span(group), "cloud_key"))
    has_id = bool(hits)
    for start, end, kind in _named(text, _small(text)):
        if kind == "cloud_key" or (has_id and _is_secret_key(text, start)):
            hits.append((start, end, "cloud_key"))
    return hits


def _begun(text: str, tails: dict[str, re.Pattern[str]], kind: str) -> Hits:
    hits = []
    for prefix, tail in tails.items():
        if prefix in text:
            for at in _places(text, prefix):
                if at and (
                    (text[at - 1].isalnum() and text[at - 1].isascii()) or text[at - 1] in "_-"
                ):
                    continue
                found = tail.match(text, at + len(prefix))
                if found is not None and len(set(found[0])) >= _LEAST_DIFFERENT:
                    hits.append((at, found.end(), kind))
    return hits


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


_URL_PASSWORD = re.compile(
    r"(?<=://)[^\s/:@\"'<>?#]{0,128}:([^\s/\"'<>]{1,256})@(?=[\w\[%.-])",
)
_WITH_PASS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "mot de passe",
    "palavra-passe",
    "passord",
)
_WITHOUT_PASS = (
    "pwd",
    "parol",
    "kennwort",
    "senha",
    "wachtwoord",
    "lozink",
    "zapork",
    "kodeord",
    "adgangskode",
    "salasana",
    "kata sandi",
    "kata laluan",
)
_WITH_SLO = ("heslo", "geslo")
_WITH_CONTRASE = ("contraseña", "contrasenya", "contrasena")
_NOT_ASCII_WORDS = (
    "hasło",
    "парол",
    "лозинк",
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "비밀번호",
    "암호",
    "şifre",
    "lösenord",
    "lykilorð",
    "jelszó",
    "jelszav",
    "slaptažod",
    "κωδικός",
    "κωδικό",
    "mật khẩu",
    "รหัสผ่าน",
    "पासवर्ड",
    "পাসওয়ার্ড",
    "كلمة المرور",
    "كلمة السر",
    "رمز عبور",
    "گذرواژه",
    "پاس ورڈ",
    "סיסמה",
    "סיסמא",
)
_PASSWORD_WORDS = _WITH_PASS + _WITHOUT_PASS + _NOT_ASCII_WORDS + _WITH_SLO + _WITH_CONTRASE
_TOKEN_WORDS = ("secret", "token", "key", "credential", "clave")
_TOKEN_NAME = re.compile(
    r"(?:(?:api|access|secret|private|signing|encryption|account|master|license)[_ -]?key|clave"
    r"|credentials?|(?:(?:client|app|shared)[_ -]?)?secret"
    r"|(?:(?:access|auth|refresh|bearer|session|id|bot|security|csrf|api)[_ -]?)?token)\Z"
)
_LONGEST_NAME = 16
_NO_SECRET = re.compile(
    r"(?:page|next|continuation|sync|cursor|public|primary|foreign|sort|cache|partition)[_ -]?\Z"
)
_LONGEST_PREFIX, _LEAST_KEY = 48, 16
_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")
_API_NAME = re.compile(r"(?:.*[_.-])?([a-z0-9]+)[_.-]api[_.-]?(?:key|token|secret)")
_NOBODYS = frozenset(
    (
        "x",
        "my",
        "your",
        "the",
        "user",
        "app",
        "our",
        "internal",
        "service",
        "admin",
        "test",
        "prod",
        "dev",
    )
)
_CLOUDS = re.compile(
    r"(?:^|[_.-])(?:aws|amazon|alibaba\w*|aliyun|tencent\w*|qcloud|huawei\w*|azure|gcp|google|ibm\w*|oci"
    r"|oracle|digitalocean|scaleway|scw|linode|yandex|yc|baidu|bce|volc\w*|ovh|hetzner|hcloud|s3|oss|cos|r2"
    r"|b2|minio|wasabi|spaces|cloudflare|vultr|arm)[_.-]"
)
_CLOUD_NAMES = re.compile(
    r"secret[_-]?access[_-]?key|access[_-]?key[_-]?secret|(?:account|storage)[_-]?key$"
)
_SECRET_KEY = re.compile(r"secret[_-]?(?:access[_-]?)?key[\"'\s:=]{1,5}\Z", re.IGNORECASE)
_PROVIDERS = re.compile(
    r"(?:^|[_.-])(?:openai|anthropic|claude|mistral|cohere|co|together|deepseek|elevenlabs|xi|assemblyai|deepgram"
    r"|stability|ai21|voyage|jina|fireworks|replicate|hugging_?face\w*|hf|groq|gemini|perplexity|serp\w*|tavily"
    r"|exa|pinecone|weaviate|qdrant|datadog|dd|new_?relic|sentry|twilio|sendgrid|mailgun|stripe|algolia|mapbox"
    r"|heroku|vercel|netlify|circleci|github|gh|gitlab|npm|pypi|notion|linear|airtable|asana|hubspot|zendesk"
    r"|shopify|square|paypal|plaid|discord|telegram|slack|wandb|lang\w+|cerebras|moonshot|zhipu\w*|dashscope"
    r"|databricks|snowflake|supabase|okta|auth0|twitter|fastly|pagerduty|grafana)[_.-]"
)
_SHORT_NAME = re.compile(r"(?<![a-z])(?:pass|pw|mdp)(?![a-z])")
_ELEMENT = re.compile(r"<(\w*(?:[Pp]assword|[Pp]asswd|[Pp]wd|[Ss]ecret))>([^<>\s]{3,128})</\1>")
_CURL = re.compile(
    r"(?<=curl )[^\n]{0,200}?(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})"
)
_COMMAND = re.compile(
    r"\b(?:ldap\w{3,9}\b[^\n]{0,200}?[ ]-w[ ]*|mysql\w*\b[^\n]{0,200}?[ ]-p(?=\S)"
    r"|(?:sshpass|mongo\w*|docker login)\b[^\n]{0,200}?[ ]-p[ ]*|redis-cli\b[^\n]{0,200}?[ ]-a[ ]+"
    r"|(?:sqlcmd|bcp|unzip|zip)\b[^\n]{0,200}?[ ]-P[ ]*|smbclient\b[^\n]{0,200}?[ ]-U[ ]*[^\s%]{1,64}%)"
    r"[\"']?([^\s\"'-][^\s\"']{3,127})",
)
_OPTION = re.compile(
    r"(?<=[ ])--?(?:password|passwd|pass|passphrase|token|secret|api-key|apikey)[ ]+[\"']?"
    r"([^\s\"'<>$-][^\s\"'<>]{3,127})"
)
_SQL = re.compile(
    r"\b(?:password|identified(?: with \w{1,40})? by)[ ]+(?:is[ ]+)?'([^'\n]{3,128})'",
    re.IGNORECASE,
)
_NETRC = re.compile(r"\blogin \S{1,64}\s{1,4}password ([^\s\"']{3,128})")
_BEARER = re.compile(
    r"(?:(?<=uthorization: )(?:Bearer|bearer|Token|token|ApiKey|Key|SSWS) +(?=[^\s\"']{8})"
    r"|(?<![A-Za-z])(?:Bearer|bearer|BEARER|Token|token) +(?=[A-Za-z0-9._~+/-]{16}))"
    r"([A-Za-z0-9._~+/-]{8,}={0,2})"
    r"|(?<![A-Za-z])(?:Basic|basic) +([A-Za-z0-9+/]{8,}={0,2})(?![A-Za-z0-9+/=])",
)
_OF = (
    "for|to|of|on|in|at|k|u|v|w|z|ve|ze|na|zu|zum|zur|für|von|vom|am|pour|du|des|de|d'|au|aux|à|para|del|della|dello|dell'|di"
    "|per|do|da|dla|voor|van|till|för|på|til|av|pre|pro|od|ke|от|для|от|к|від|до|за|στο|του|της"
)
_IS = "is|ist|lautet|est|es|está|é|è|er|är|je|jest|to|to:|is:|este|on|yra|ir|és|adalah|là|е|є|είναι|है|คือ|הוא|היא|هو|هي"
_VALUE = re.compile(
    rf"""(?:[^\W\d_A-Za-z{UNSPACED}]{{1,4}}|(?:en|et|n|ni|m|a|e|et|i|t)(?![A-Za-z]))?+
    (?:[ ](?:(?:{_OF})[ ]|[dl]['’]|dell['’])[^\n:=.!?"`]{{1,40}}?(?=[ ]?[:=：]|[ ](?:{_IS})[ ]))?+
    [ ]?(?:\([^)\n]{{0,20}}\))?["'`\]]?[ \t]{{0,3}}
    (?P<sign> => | -> | → | := | ==? | : | ： | (?<=\s)(?:{_IS}|は|是|为)(?=\s)
      | は | 是 | 为 | 為 | 는 | 은 | คือ | \u061b | - (?=\s) )
    (?P<gap>[ \t\u3000]{{0,3}})
    (?: (?P<quote>["'`]) (?P<quoted>(?:(?!(?P=quote))[^\n]){{1,200}}+) (?P=quote)
      | (?P<bare>[^\s"'`,;<>()\[\]{{}}|\u3001\u3002\uff0c\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{{3,128}}) )""",
    re.VERBOSE,
)
_NEXT_PAIR = re.compile(r"&(?=[\w.%-]+=|$)")
_TEMPLATE = re.compile(
    r"[$%{<\[]|:\w+$|(?:x+|\*+|\.+|•+|#+|-+|_+)$|your[-_ ]|my[-_ ]|example|(?:os|process|env|self|this|config"
    r"|settings|args|ctx|request|req|user|data|params|options|getpass)\.|(?:none|null|nil|true|false"
    r"|undefined|str|string|bytes|int|any|bool|text|optional|required|redacted|hidden|masked|password"
    r"|passwd|secret|token|field|input|varchar|empty|default|unknown|n/a)\b(?:$|\W)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"\b(?:is|are|must|be|required|your|enter|please|the|invalid|wrong|not|of|for|too|reset|forgot"
    r"|incorrect|has|can|cannot|should)\b",
    re.IGNORECASE,
)
_NAMES = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)*", re.ASCII)


_ELSEWHERE = (  # a character, which is looked for fastest, more of it, and what to look for then
    ("<", "</", _ELEMENT),
    ("-", "curl ", _CURL),
    ("-", " -w", _COMMAND),
    ("-", " -p", _COMMAND),
    ("-", " -P", _COMMAND),
    ("-", " -a ", _COMMAND),
    ("-", " -U", _COMMAND),
    ("-", " --", _OPTION),
    ("-", " -pass", _OPTION),
    ("'", " '", _SQL),
)


def find_passwords(text: str) -> Hits:
    """Find passwords in URLs, in `key=value` and in words, and what stands in HTTP headers."""
    hits = []
    if "@" in text and "://" in text:
        for hit in _URL_PASSWORD.finditer(text):
            if not _TEMPLATE.match(hit[1]) or _plain_word(hit[1]):
                hits.append((*hit.span(1), "password"))
    small = _small(text)
    for word in _password_words(small):
        for at in _places(small, word):
            hits += _given(text, at + len(word), True)
    if "pass" in small or "pw" in small or "mdp" in small:
        for name in _SHORT_NAME.finditer(small):
            hits += _given(text, name.end(), True)
    if "pass" in small and "login " in text:
        netrc = _NETRC.finditer(text)
        hits += [(*hit.span(1), "password") for hit in netrc if not _TEMPLATE.match(hit[1])]
    for char, sign, pattern in _ELSEWHERE:
        if char in text and sign in text:
            hits += [
                (*hit.span(hit.lastindex or 0), "password")
                for hit in pattern.finditer(text)
                if _is_argument(hit[hit.lastindex or 0], pattern is _OPTION)
            ]
    hits += [(start, end, "password") for start, end, _ in _named(text, small)]
    if "earer" in small or "asic " in small or "oken " in small:
        for hit in _BEARER.finditer(text):
            hits += _header(hit)
    return hits


def _small(text: str) -> str:
    """The text in small letters, each where it was."""
    small = text.lower()
    if len(small) != len(text):  # as for "İ"
        small = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return small


def _is_argument(value: str, may_be_word: bool) -> bool:
    if " " in value and _SENTENCE.search(value):
        return False
    return not _TEMPLATE.match(value) and not (may_be_word and value.isalpha())


def _named(text: str, small: str) -> Hits:
    """What is given after the name of a token or a key; its kind, as far as the name tells."""
    hits: Hits = []
    for word in _TOKEN_WORDS:
        if word in small:
            for at in _places(small, word):
                end = at + len(word)
                end += word == "credential" and small[end : end + 1] == "s"
                if (
                    not small[end : end + 1].isalnum()
                    and _VALUE.match(text, end) is not None
                    and _is_token_name(small, end)
                ):
                    kind = _kind_of(_NAME.search(small, max(0, at - _LONGEST_PREFIX), end))
                    hits += [(*hit[:2], kind) for hit in _given(text, end, False)]
    return [hit for hit in hits if hit[2] == "password" or _is_key(text[hit[0] : hit[1]])]


def _kind_of(name: re.Match[str] | None) -> str:
    if name is None:
        return "password"
    if _CLOUDS.search(name[0]) or _CLOUD_NAMES.search(name[0]):
        return "cloud_key"
    prefix = _API_NAME.fullmatch(name[0])
    if prefix is not None and prefix[1] not in _NOBODYS:
        return "api_key"
    return "api_key" if _PROVIDERS.search(name[0]) else "password"


def _is_key(value: str) -> bool:
    return len(value) >= _LEAST_KEY and len(set(value)) >= _LEAST_DIFFERENT


def _is_secret_key(text: str, at: int) -> bool:
    """Whether what stands here is called the secret that goes with the id of a key."""
    return _SECRET_KEY.search(text, max(0, at - 24), at) is not None and _is_key(text[at : at + 20])


def _password_words(small: str) -> list[str]:
    """The words for a password that occur in a text."""
    words = [*_WITH_PASS] if "pass" in small else []
    words += _WITH_SLO if "slo" in small else ()
    words += _WITH_CONTRASE if "contrase" in small else ()
    words += _WITHOUT_PASS if small.isascii() else _WITHOUT_PASS + _NOT_ASCII_WORDS
    return [word for word in words if word in small]


def _is_token_name(small: str, end: int) -> bool:
    name = _TOKEN_NAME.search(small, max(0, end - _LONGEST_NAME), end)
    if name is None or small[name.start() - 1 : name.start()].isalpha():
        return False
    return _NO_SECRET.search(small, max(0, name.start() - 16), name.start()) is None


def _plain_word(found: str) -> bool:
    """Whether it is a word that some take for a password, and not a place for one."""
    return found.isalpha()


def _header(hit: re.Match[str]) -> Hits:
    group = 1 if hit[1] is not None else 2
    found = hit[group]
    if group == 2:
        try:
            is_secret_text = b":" in base64.b64decode(found, validate=True)
        except (binascii.Error, ValueError):
            return []
    else:
        is_secret_text = _is_mixed(found) and len(set(found)) >= _LEAST_DIFFERENT
    return [(*hit.span(group), "password")] if is_secret_text else []


def _given(text: str, at: int, is_password: bool) -> Hits:
    """What is given after a name that ends here."""
    hit = _VALUE.match(text, at)
    if hit is None:
        return []
    if hit["quoted"] is not None:
        is_found = _is_given(hit["quoted"], is_password)
        return [(*hit.span("quoted"), "password")] if is_found else []
    value = hit["bare"]
    if hit["sign"] in ("=", "==", ":=", "=>"):
        value = _NEXT_PAIR.split(value, 1)[0]
    else:
        value = value.rstrip(".?。？")
    if not is_password:
        value = value.partition("@")[0]
    start = hit.start("bare")
    after = text[start + len(value) : start + len(value) + 1]
    if _is_code(value, after, hit) or not _is_given(value, is_password, quoted=False):
        return []
    if value.isalpha() and (hit["sign"] not in ("=", "==") or hit["gap"] or after in (")", ",")):
        return []  # an ordinary word, or the name of a variable
    if hit["sign"].isalpha() and value.islower() and value.replace("-", "").isalpha():
        return []  # two of them
    return [(start, start + len(value), "password")]


def _is_code(value: str, after: str, hit: re.Match[str]) -> bool:
    if after in ("(", "[", "{", "<"):
        return True
    is_name = _NAMES.fullmatch(value) is not None
    if not is_name:
        return False
    has_digit = any(c.isdigit() for c in value)
    return not has_digit and ("_" in value or "." in value or "::" in value)


def _is_given(value: str, is_password: bool, *, quoted: bool = True) -> bool:
    if _TEMPLATE.match(value) or len(set(value)) < 3:
        return False
    if quoted and " " in value and _SENTENCE.search(value):
        return False
    if is_password:
        return len(value) >= (3 if quoted else 4)
    return len(value) >= 8 and _is_mixed(value) and " " not in value and len(set(value)) >= 6


def _is_mixed(value: str) -> bool:
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


_SECRET_NAME = re.compile(
    r"(?:.*[_.\- ])?(?:" + "|".join(_PASSWORD_WORDS) + r")|.*(?:password|passwd|passphrase)", re.I
)
_TOKEN_FIELD = re.compile(
    rf"(?:.*[_.\- ])?(?:{_TOKEN_NAME.pattern.removesuffix('Z').removesuffix(chr(92))}|(?:proxy-)?authorization|cookie|set-cookie)",
    re.I,
)


def is_secret(name: str, value: str) -> bool:
    """Return whether a field of this name holds a password or a key in this value."""
    if _SECRET_NAME.fullmatch(name):
        return bool(value) and not _TEMPLATE.match(value)
    if _TOKEN_FIELD.fullmatch(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)):
        return len(value) >= 8 and not _TEMPLATE.match(value) and _is_mixed(value)
    return False
