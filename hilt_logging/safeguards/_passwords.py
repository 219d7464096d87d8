"""
Detector of passwords, in settings, in code and in sentences, by the words for them.
"""

from __future__ import annotations

import base64
import binascii
import re

from ._edges import UNSPACED
from ._settings import in_settings
from ._told import called, in_column, told
from ._words import places, small_of


__all__ = [
    "LEAST_DIFFERENT",
    "find_passwords",
    "is_key",
    "is_secret",
    "named",
    "places",
    "small_of",
]

Hits = list[tuple[int, int, str]]

LEAST_DIFFERENT = 8

_URL_PASSWORD = re.compile(
    r"(?<=://)[^\s/:\"'<>?#]{0,128}:([^\s/\"'<>]{1,256})@(?=[\w\[%.-])",
)
_WITH_PASS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "mot de passe",
    "mot_de_passe",
    "motdepasse",
    "requirepass",
    "masterpass",
    "storepass",
    "keypass",
    "palavra-passe",
    "passord",
)
_BEGUN_WITH_P = re.compile(r"p(?:ass|w|aro)")
_WITH_P = ("pwd", "parol", "parool")
_BEGUN_WITH_K = re.compile(r"k(?:ennw|ode|ata )")
_WITH_K = ("kennwort", "kodeord", "adgangskode", "kata sandi", "kata laluan")
_WITH_Z = ("lozink", "zapork")
_OTHERS = ("senha", "wachtwoord", "salasana", "clave")
_WEAK = ("ww",)  # a week elsewhere
_WW = re.compile(r"ww(?![a-z])")
_NETWORK = re.compile(r"w(?:i-?fi|lan|ork (?:security )?key|erkschl)")
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
_OF_NETWORKS = (
    "code wifi",
    "clé wifi",
    "clave wifi",
    "wifi key",
    "wifi-key",
    "wi-fi key",
    "wifi code",
    "wifi-code",
    "wlan-schlüssel",
    "wlan-key",
    "wlan-code",
    "netzwerkschlüssel",
    "network key",
    "network security key",
)
_PASSWORD_WORDS = (
    _WITH_PASS
    + _WITH_P
    + _WITH_K
    + _WITH_Z
    + _OTHERS
    + _NOT_ASCII_WORDS
    + _WITH_SLO
    + _WITH_CONTRASE
)
_TOKEN_WORDS = ("secret", "token", "key", "credential", "clave")
_KEYS_OF = (
    *(
        "api",
        "app",
        "application",
        "access",
        "secret",
        "private",
        "signing",
        "encryption",
        "account",
    ),
    *("master", "license", "subscription", "auth", "consumer", "ingest", "integration"),
)
_TOKEN_NAME = re.compile(
    rf"(?:access[_-]?key[_-]?secret|(?:{'|'.join(_KEYS_OF)})[_ -]?key|clave"
    r"|credentials?|(?:(?:client|app|shared)[_ -]?)?secret"
    r"|(?:(?:access|auth|refresh|bearer|session|id|bot|security|csrf|api)[_ -]?)?token)\Z"
)
_LONGEST_NAME = 20
_NO_SECRET = re.compile(
    r"(?:page|next|continuation|sync|cursor|public|primary|foreign|sort|cache|partition)[_ -]?\Z"
)
_LONGEST_PREFIX, _LEAST_KEY = 48, 16
_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")
_IS_API_KEY = re.compile(r"(?:x[_-])?api[_-]?key")
_MENTIONED = re.compile(
    r"(?<![a-z])(?:openai|anthropic|mistral|deepseek|elevenlabs|hugging ?face|perplexity|pinecone|datadog|new ?relic"
    r"|sentry|twilio|sendgrid|mailgun|stripe|razorpay|algolia|mapbox|heroku|vercel|netlify|circleci|github|gitlab"
    r"|airtable|asana|hubspot|zendesk|shopify|paypal|discord|telegram|slack|databricks|snowflake|supabase"
    r"|tailscale|grafana|pagerduty)(?![a-z])"
)
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
    r"(?:^|[_.-])(?:aws|amz|amazon|alibaba\w*|aliyun|tencent\w*|qcloud|huawei\w*|azure|gcp|google|ibm\w*|oci"
    r"|oracle|digitalocean|scaleway|scw|linode|yandex|yc|baidu|bce|volc\w*|ovh|hetzner|hcloud|s3|oss|cos|r2"
    r"|b2|minio|wasabi|spaces|cloudflare|vultr|arm)[_.-]"
)
_CLOUD_NAMES = re.compile(
    r"secret[_-]?access[_-]?key|access[_-]?key[_-]?secret|(?:account|storage)[_-]?key$"
)
_PROVIDERS = re.compile(
    r"(?:^|[_.-])(?:openai|anthropic|claude|mistral|cohere|co|together|deepseek|elevenlabs|xi|assemblyai|deepgram"
    r"|stability|ai21|voyage|jina|fireworks|replicate|hugging_?face\w*|hf|groq|gemini|perplexity|serp\w*|tavily"
    r"|exa|pinecone|weaviate|qdrant|datadog|dd|new_?relic|sentry|twilio|sendgrid|mailgun|stripe|algolia|mapbox"
    r"|heroku|vercel|netlify|circleci|github|gh|gitlab|npm|pypi|notion|linear|airtable|asana|hubspot|zendesk"
    r"|shopify|square|paypal|plaid|discord|telegram|slack|wandb|lang\w+|cerebras|moonshot|zhipu\w*|dashscope"
    r"|databricks|snowflake|supabase|okta|auth0|razorpay|tailscale|sonar\w*|pusher|segment|amplitude|mixpanel|bugsnag|rollbar|twitter|fastly|pagerduty|grafana)[_.-]"
)
_SHORT_NAME = re.compile(r"(?<![a-z])(?:pass|pw|mdp|ww)(?![a-z])")
_ELEMENT = re.compile(
    r"<(\w*(?:[Pp]ass(?:word|wd|phrase)?|[Pp]wd|[Ss]ecret))>([^<>\s]{3,128})</\1>"
)
_CURL = re.compile(
    r"(?<=curl )[^\n]{0,200}?(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})"
)
_COMMAND = re.compile(
    r"\b(?:ldap\w{3,9}\b[^\n]{0,200}?[ ]-w[ ]*|mysql\w*\b[^\n]{0,200}?[ ]-p(?=\S)"
    r"|(?:sshpass|mongo\w*|docker login|psexec|7z\w?|rar)\b[^\n]{0,200}?[ ]-p[ ]*|redis-cli\b[^\n]{0,200}?[ ]-a[ ]+"
    r"|(?:sqlcmd|bcp|unzip|zip|mosquitto_\w{2,3})\b[^\n]{0,200}?[ ]-P[ ]*|smbclient\b[^\n]{0,200}?[ ]-U[ ]*[^\s%]{1,64}%)"
    r"[\"']?([^\s\"'-][^\s\"']{3,127})",
)
_OPTION = re.compile(
    r"(?<=[ ])--?(?:password|passwd|pass|passphrase|token|secret|api-key|apikey)[ ]{1,3}"
    r"(?:[\"']([^\"'\n$-][^\"'\n]{3,127})[\"']|([^\s\"'<>$-][^\s\"'<>]{3,127}))"
)
_SQL = re.compile(
    r"\b(?:password|identified(?: with \w{1,40})? by)[ ]+(?:is[ ]+)?(?:'([^'\n]{3,128})'|\"([^\"\n]{3,128})\")",
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
    "for|to|of|on|in|at|das|dos|la|k|u|v|w|z|ve|ze|na|zu|zum|zur|für|von|vom|am|pour|du|des|de|d'|au|aux|à|para|del|della|dello|dell'|di"
    "|per|do|da|dla|voor|van|till|för|på|til|av|pre|pro|od|ke|от|для|от|к|від|до|за|στο|του|της"
)
_IS = "is|ist|war|was|lautet|lautete|est|était|c['’]est|sera|es|era|está|é|è|er|är|je|jest|to|to:|is:|este|on|yra|ir|és|adalah|là|е|є|είναι|है|คือ|הוא|היא|هو|هي|là|volt|oli|был|była|było|var|heter|oldu"
_VALUE = re.compile(
    rf"""(?:[^\W\d_A-Za-z{UNSPACED}]{{1,4}}|(?:en|et|n|ni|m|a|e|et|i|t|is|as|am|om|em|o|u|y|ul|um|im|ım|ım|iniz|unuz|es)(?![A-Za-z]))?+
    (?:[ ](?:(?:{_OF})[ ]|[dl]['’]|dell['’])[^\n:=.!?"`]{{1,40}}?(?=[ ]?[:=：]|[ ](?:{_IS})[ ]))?+
    [ ]?(?:\([^)\n]{{0,20}}\))?["'`\]]?[ \t]{{0,16}}
    (?P<sign> => | -> | → | := | ==? | : | ： | (?<=\s)(?:{_IS}|は|是|为)(?::?(?=\s))
      | は | 是 | 为 | 為 | 는 | 은 | คือ | \u061b | - (?=\s) )
    (?P<gap>[ \t\u3000]{{0,16}})
    (?: (?:[NuUbBrRL@](?=["']))?+ (?P<quote>["'`]) (?P<quoted>(?:\\[\\"'`]|(?!(?P=quote))[^\n]){{1,200}}+) (?P=quote)
      | (?P<bare>[^\s"'`,;<>()\[\]{{}}|\u3001\u3002\uff0c\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{{3,128}}) )""",
    re.VERBOSE,
)
_NEXT_PAIR = re.compile(r"&(?=[\w.%-]+=|$)")
_TEMPLATE = re.compile(
    r"[%{<\[]|\$(?!\$)|:\w+$|(?:x+|\*+|\.+|•+|#+|-+|_+)$|your[-_ ]|my[-_ ]|example|(?:os|process|env|self|this|config"
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
_IS_WORD = re.compile(r"[^\W\d_]+|[A-Z]+(?:_[A-Z]+)*")
_CMDLET = re.compile(
    r"(?:Read|Get|ConvertTo|ConvertFrom|New|Import|Invoke|Select|Set|Add|Export)-[A-Z][A-Za-z]+"
)
_NAMES = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)*", re.ASCII)


_OPTION_SIGN = re.compile(r" -[-wpPaUu]")
_OPTIONS = (
    (" -u", _CURL),
    (" --u", _CURL),
    (" -w", _COMMAND),
    (" -p", _COMMAND),
    (" -P", _COMMAND),
    (" -a ", _COMMAND),
    (" -U", _COMMAND),
    (" --", _OPTION),
    (" -pass", _OPTION),
)


def find_passwords(text: str) -> Hits:
    """Find passwords in URLs, in `key=value` and in words, and what stands in HTTP headers."""
    hits = []
    if "@" in text and "://" in text:
        for hit in _URL_PASSWORD.finditer(text):
            if not _TEMPLATE.match(hit[1]) or _plain_word(hit[1]):
                hits.append((*hit.span(1), "password"))
    small = small_of(text)
    has_p = _BEGUN_WITH_P.search(small) is not None
    has_pass = has_p and "pass" in small
    names = [
        (at, at + len(word))
        for word in _password_words(small, has_p, has_pass)
        for at in places(small, word)
    ]
    if has_p or "mdp" in small or _WW.search(small):
        names += [name.span() for name in _SHORT_NAME.finditer(small)]
    if names:
        hits += _named_so(text, names)
    if has_pass and "login " in text:
        netrc = _NETRC.finditer(text)
        hits += [(*hit.span(1), "password") for hit in netrc if not _TEMPLATE.match(hit[1])]
    if "<" in text and "</" in text:
        hits += _arguments(text, _ELEMENT)
    if "-" in text and _OPTION_SIGN.search(text):
        for sign, pattern in _OPTIONS:
            if sign in text:
                hits += _arguments(text, pattern)
    if ("'" in text and " '" in text) or ('"' in text and ' BY "' in text):
        hits += _arguments(text, _SQL)
    hits += [(*span, "password") for span in in_settings(text, small, has_pass)]
    hits += [(start, end, "password") for start, end, _ in named(text, small)]
    if "earer" in small or "asic " in small or "oken " in small:
        for hit in _BEARER.finditer(text):
            hits += _header(hit)
    return list(dict.fromkeys(hits))


def _arguments(text: str, pattern: re.Pattern[str]) -> Hits:
    return [
        (*hit.span(hit.lastindex or 0), "password")
        for hit in pattern.finditer(text)
        if _is_argument(hit[hit.lastindex or 0], pattern is _OPTION)
    ]


def _named_so(text: str, names: list[tuple[int, int]]) -> Hits:
    """What is given, told or handed over after words for a password."""
    hits: Hits = []
    done = 0
    for start, end in sorted(names):
        if text[start:end].lower() not in _WEAK:
            hits += _given(text, end, True)
        spans = told(text, end) or called(text, end)
        if start >= done:
            below, done = in_column(text, start, end)
            spans += below
        hits += [(*span, "password") for span in spans]
    return hits


def _is_argument(value: str, may_be_word: bool) -> bool:
    if " " in value and _SENTENCE.search(value):
        return False
    return not _TEMPLATE.match(value) and not (may_be_word and _IS_WORD.fullmatch(value))


def named(text: str, small: str) -> Hits:
    """What is given after the name of a token or a key; its kind, as far as the name tells."""
    hits: Hits = []
    for word in _TOKEN_WORDS:
        if word in small:
            for at in places(small, word):
                end = at + len(word)
                end += word == "credential" and small[end : end + 1] == "s"
                if word == "key" and not small.endswith(_KEYS_OF, 0, _name_end(small, at)):
                    continue
                if (
                    not small[end : end + 1].isalnum()
                    and _VALUE.match(text, end) is not None
                    and _is_token_name(small, end)
                ):
                    kind = _kind_of(small, _NAME.search(small, max(0, at - _LONGEST_PREFIX), end))
                    hits += [(*hit[:2], kind) for hit in _given(text, end, False)]
    return [hit for hit in hits if hit[2] == "password" or is_key(text[hit[0] : hit[1]])]


def _name_end(small: str, at: int) -> int:
    """Where the word ends that stands before this one."""
    return at - 1 if small[at - 1 : at] in ("_", " ", "-") else at


def _kind_of(small: str, name: re.Match[str] | None) -> str:
    if name is None:
        return "password"
    if _CLOUDS.search(name[0]) or _CLOUD_NAMES.search(name[0]):
        return "cloud_key"
    if _IS_API_KEY.fullmatch(name[0]):
        return "api_key"
    prefix = _API_NAME.fullmatch(name[0])
    if prefix is not None and prefix[1] not in _NOBODYS:
        return "api_key"
    if _PROVIDERS.search(name[0]):
        return "api_key"
    before = small[max(0, name.start() - _LONGEST_PREFIX) : name.start()].rpartition("\n")[2]
    return "api_key" if _MENTIONED.search(before) else "password"


def is_key(value: str) -> bool:
    """Return whether a text is long and varied enough to be a key."""
    return len(value) >= _LEAST_KEY and len(set(value)) >= LEAST_DIFFERENT


def _password_words(small: str, has_p: bool, has_pass: bool) -> list[str]:
    """The words for a password that occur in a text."""
    words = [*_WITH_PASS] if has_pass else []
    words += _WITH_P if has_p else ()
    words += _WITH_K if _BEGUN_WITH_K.search(small) is not None else ()
    words += _WITH_Z if "z" in small else ()
    words += _WITH_SLO if "slo" in small else ()
    words += _WITH_CONTRASE if "contrase" in small else ()
    words += _OF_NETWORKS if _NETWORK.search(small) is not None else ()
    words += _OTHERS if small.isascii() else _OTHERS + _NOT_ASCII_WORDS
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
        is_secret_text = _is_mixed(found) and len(set(found)) >= LEAST_DIFFERENT
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
        stripped = value.rstrip(".?。？:")
        is_kept = hit["sign"] == ":" and stripped + "." == value and _is_line(text, at, hit)
        value = value if is_kept else stripped
    if not is_password:
        value = value.partition("@")[0]
    start = hit.start("bare")
    after = text[start + len(value) : start + len(value) + 1]
    if _is_code(value, after, hit) or not _is_given(value, is_password, quoted=False):
        return []
    if value.isalpha() and not _is_word_for_it(text, at, hit, value, after):
        return []
    if hit["sign"].isalpha() and value.islower() and "-" in value and not _has_sign(value):
        return []  # two words
    return [(start, start + len(value), "password")]


_LINE = re.compile(r"(?:\A|\n)[ \t]*[^\W\d_]+\Z")
_OPTION_NAME = re.compile(r"(?<![\w-])--?[\w-]{1,32}\Z")
_MINE = re.compile(
    r"\b(?:my|our|mein|unser|mon|notre|mi|mio|mia|minha|mijn|mitt|mit|min|moje|moja|mój|мой)\b[ ][^.,;:!?\n]{0,24}\Z",
    re.IGNORECASE,
)
_AFTER_WORD = re.compile(
    r"[ ]?[,.!?;)\n]|[ ]?\Z|[ ](?:and|und|et|y|e|i|en|but|aber|mais|pero|lol|login|user)\b"
)
_OF_STATE = re.compile(
    r"(?:not|too|very|the|this|that|what|wrong|invalid|(?:in)?correct|right|weak|strong|short|long|bad|good|safe"
    r"|(?:in|un)?secure|unsafe|old|new|still|always|never|easy|hard|simple|complex|same|different|gone|lost|fine"
    r"|okay|here|there|case|below|above|empty|blank|unknown|known|none|null|nothing|public|private|only|enough"
    r"|nicht|kein|sehr|eine?|falsch|richtig|(?:un)?gültig|weg|(?:un)?sicher|schwach|stark|kurz|lang|neu|leer"
    r"|(?:un)?bekannt|hier|dort|immer|noch|schon|einfach|gleich|korrekt|geheim|egal|schlecht|gut|okay|klar"
    r"|incorrecta?|correcta?|inválid[ao]|expir\w+|caducad[ao]|débil|segur[ao]|oublié|perdu|faux|bon|mauvais"
    r"|faible|\w+(?:ed|ing|able|ible|é|ée|ado|ada|ido|ida|ato|ata|uto|uta|iert|en))\Z",
    re.IGNORECASE,
)
_LEAST_WORD = 4


def _has_sign(value: str) -> bool:
    return not value.replace("-", "").isalpha()


def _is_line(text: str, at: int, hit: re.Match[str]) -> bool:
    """Whether a name and its value are all of a line."""
    return text[hit.end() : hit.end() + 1] in ("", "\n") and (
        _LINE.search(text, max(0, at - 48), at) is not None
    )


def _is_word_for_it(text: str, at: int, hit: re.Match[str], value: str, after: str) -> bool:
    """Whether an ordinary word is somebody's password, and neither said of it nor a name in a program."""
    if hit["sign"] in ("=", "=="):
        is_option = _OPTION_NAME.search(text, max(0, at - 40), at) is not None
        return not hit["gap"] and (after not in (")", ",") or is_option)
    if len(value) < _LEAST_WORD or _OF_STATE.match(value):
        return False
    return (
        _MINE.search(text, max(0, at - 48), at) is not None
        and _AFTER_WORD.match(text, hit.start("bare") + len(value)) is not None
    )


def _is_code(value: str, after: str, hit: re.Match[str]) -> bool:
    if after in ("(", "[", "{", "<"):
        return True
    if _CMDLET.fullmatch(value):
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
