"""
The identity numbers of countries: their form, how they are usually written, and what they are called.
"""

from __future__ import annotations

from typing import NamedTuple


__all__ = ["ANY_ID", "NUMBERS", "Number"]


class Number(NamedTuple):
    """
    A kind of number.

    Attributes:
        check: What knows its check digits: a module of python-stdnum, or a name in `OWN_CHECKS`;
            the country alone where there are none.
        sizes: How many characters it has without separators.
        form: What it is without separators, in capitals.
        words: What stands next to it, in small letters, with `|` between; without accents, hyphens
            and full stops.
        layout: How it is written where no word is needed; empty where one is.
    """

    check: str
    sizes: tuple[int, ...]
    form: str
    words: str
    layout: str = ""


ANY_ID = (
    "national id|identity card|identity number|identity no|identification card|id card|personal code"
    "|personal id|personal number|citizen id|citizen number|citizenship number|national number"
    "|tax id|taxid|taxpayer|tax number|nationalid|social security|social insurance"
)
"""What may stand next to any number that has check digits."""

_BALKANS = "emso|jmbg|maticni broj|maticna stevilka|јмбг|матични број|матичен број|ембг|embg"
_CEDULA = "cedula|cc|ci|identidad|identificacion|documento"
_IDENT = "id number|id no|id nr|my id|sa id|rsa id|nid|identity|identiteit|idnommer"
_RUT = "rut|run|rol unico"

NUMBERS = (
    Number("al", (10,), r"[A-T]\d{8}[A-W]", "nid|nipt|numri personal|leternjoftim"),
    Number("ae", (15,), r"784(?:19|20)\d{10}", "emirates id|هوية", r"784-(?:19|20)\d\d-\d{7}-\d"),
    Number(
        "ar.cuit",
        (11,),
        r"(?:2[0347]|3[034])\d{9}",
        "cuil|cuit|clave unica",
        r"[23]\d-\d{8}-\d|[23]\d-\d\d\.\d{3}\.\d{3}-\d",
    ),
    Number("ar", (7, 8), r"\d{7,8}", "dni"),
    Number(
        "at.vnr", (10,), r"\d{10}", "svnr|sv nr|sv nummer|vsnr|versicherungsn|sozialversicherung"
    ),
    Number("au.tfn", (8, 9), r"\d{8,9}", "tfn|tax file"),
    Number("au.medicare", (10, 11), r"[2-6]\d{9,10}", "medicare"),
    Number(
        "be.nn",
        (11,),
        r"\d{11}",
        "rijksregister|registre national|nationalregister|niss|insz|rrn|nn",
        r"\d\d[. ]\d\d[. ]\d\d[- ]\d{3}[. ]\d\d",
    ),
    Number("bg.egn", (10,), r"\d{10}", "егн|egn|единен граждански"),
    Number("bg.pnf", (10,), r"\d{10}", "лнч|lnch|личен номер на чужденец"),
    Number("br.cpf", (11,), r"\d{11}", "cpf|contribuinte", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    Number("by", (14,), r"\d{7}[A-Z]\d{3}[A-Z]{2}\d", "", r"\d{7}[A-Z]\d{3}[A-Z]{2}\d"),
    Number("ca.sin", (9,), r"[1-79]\d{8}", "sin|nas|assurance sociale|social insurance"),
    Number("ch.ssn", (13,), r"756\d{10}", "ahv|avs|oasi", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d"),
    Number("cl.rut", (8, 9), r"\d{7,8}[\dK]", _RUT, r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]"),
    Number("cn.ric", (18,), r"\d{17}[\dX]", "身份证|身分證|公民身份", r"\d{17}[\dXx]"),
    Number("co.nit", (8, 9, 10), r"\d{8,10}", "nit"),
    Number("co", (6, 7, 8, 9, 10), r"\d{6,8}|1\d{9}", "cedula de ciudadania|cedula|cc"),
    Number("cr.cpf", (9, 10), r"\d{9,10}", "cedula|identidad"),
    Number("cu.ni", (11,), r"\d{11}", "carne de identidad|carnet de identidad|numero de identidad"),
    Number("cz.rc", (9, 10), r"\d{9,10}", "rodne cislo|rod c|rodneho cisla|rc", r"\d{6}/\d{3,4}"),
    Number("de.idnr", (11,), r"[1-9]\d{10}", "id nr|idnr|steuer|tin|tax id|identifikationsnummer"),
    Number(
        "de.insurance", (12,), r"\d{8}[A-Z]\d{3}", "versicherung|rvnr|rv nummer|sv nummer|svnr|vsnr"
    ),
    Number("dk.cpr", (10,), r"\d{10}", "cpr|personnummer"),
    Number("do.cedula", (11,), r"\d{11}", _CEDULA, r"\d{3}-\d{7}-\d"),
    Number("ec.ci", (10,), r"\d{10}", _CEDULA),
    Number("ee.ik", (11,), r"[1-8]\d{10}", "isikukood|personal code|ik"),
    Number(
        "eg",
        (14,),
        r"[23]\d\d(?:0\d|1[0-2])[0-3]\d{8}",
        "الرقم القومي|رقم قومي|رقم البطاقة|national id",
    ),
    Number(
        "es.dni",
        (9,),
        r"\d{8}[A-Z]",
        "dni|nif|documento nacional",
        r"\d{8}(?:-? ?[A-Z]|[a-z])|\d\d\.\d{3}\.\d{3}[- ]?[A-Z]",
    ),
    Number(
        "es.nie",
        (9,),
        r"[XYZ]\d{7}[A-Z]",
        "nie|nif|extranjero",
        r"[XYZxyz][- ]?\d{7}[- ]?[A-Za-z]|[XYZ]-?\d\.\d{3}\.\d{3}-?[A-Z]",
    ),
    Number(
        "fi.hetu",
        (10, 11),
        r"\d{6}[-+A-FU-Y]?\d{3}[0-9A-Y]",
        "hetu|henkilotunnu",
        r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
    ),
    Number(
        "fr.nir",
        (15,),
        r"[1278]\d{5}[\dAB]\d{8}",
        "securite sociale|nir|secu|insee",
        r"[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d",
    ),
    Number("fr.nif", (13,), r"[0-3]\d{12}", "spi|numero fiscal|nif|identifiant fiscal"),
    Number("gb.nhs", (10,), r"\d{10}", "nhs"),
    Number("gb.utr", (10,), r"\d{10}", "utr|unique taxpayer"),
    Number("gh", (13,), r"GHA\d{10}", "ghana card", r"GHA-\d{9}-\d"),
    Number("gr.amka", (11,), r"\d{11}", "αμκα|amka|κοινωνικης ασφαλισης"),
    Number("gr.vat", (9,), r"\d{9}", "αφμ|afm|φορολογικου μητρωου"),
    Number(
        "hk",
        (8, 9),
        r"[A-Z]{1,2}\d{6}[\dA]",
        "身份證|身分證|hkid|hong kong id",
        r"[A-Z]{1,2}\d{6}\([\dA]\)",
    ),
    Number("hr.oib", (11,), r"\d{11}", "oib|osobni identifikacijski"),
    Number("hu.health", (9,), r"\d{9}", "taj"),
    Number("hu.tax", (10,), r"8\d{9}", "adoazonosito|adoszam"),
    Number("id.nik", (16,), r"\d{16}", "nik|ktp|kependudukan|induk"),
    Number("ie.pps", (8, 9), r"\d{7}[A-W][ABWTXZ]?", "pps|ppsn|personal public service"),
    Number("il.idnr", (8, 9), r"\d{8,9}", "teudat|mispar zehut|זהות|הזהות|תז"),
    Number(
        "in_.aadhaar",
        (12,),
        r"[2-9]\d{11}",
        "aadhaar|aadhar|uidai|आधार",
        r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}",
    ),
    Number("in_.pan", (10,), r"[A-Z]{5}\d{4}[A-Z]", "pan|permanent account|पैन"),
    Number("in_.epic", (10,), r"[A-Z]{3}\d{7}", "epic|voter|मतदाता"),
    Number("ir", (10,), r"\d{10}", "کد ملی|کدملی|شماره ملی|code melli|melli"),
    Number("is_.kennitala", (10,), r"\d{10}", "kennital|kt"),
    Number(
        "it.codicefiscale",
        (16,),
        r"[A-Z]{6}[0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]",
        "codice fiscale|cf",
        r"[A-Za-z]{6} ?\w{2}[A-Za-z]\w{2} ?[A-Za-z]\w{3}[A-Za-z]|[A-Za-z]{3} [A-Za-z]{3} \w{5} \w{5}",
    ),
    Number("jp.in_", (12,), r"\d{12}", "マイナンバー|個人番号|my number|mynumber"),
    Number("ke.pin", (11,), r"[AP]\d{9}[A-Z]", "kra|pin"),
    Number("kr.rrn", (13,), r"\d{13}", "주민|rrn|resident registration|등록번호", r"\d{6}-\d{7}"),
    Number("kw", (12,), r"[1-3]\d{11}", "civil id|الرقم المدني|مدني|المدنية"),
    Number("kz", (12,), r"\d{12}", "иин|жсн|iin"),
    Number("lk", (10, 12), r"\d{9}[VX]|(?:19|20)\d{10}", "nic|national identity"),
    Number("lt.asmens", (11,), r"[1-9]\d{10}", "asmens kod|personal code|ak"),
    Number("lu", (13,), r"(?:18|19|20)\d{11}", "matricule|matrikel|identification"),
    Number("lv", (11,), r"\d{11}", "personas kod|pk|personal code"),
    Number("md", (13,), r"[02]\d{12}", "idnp|cod personal|cod numeric"),
    Number("mt", (8,), r"\d{7}[MGAPLHBZ]", "identity|karta tal identita|id card"),
    Number("mu.nid", (14,), r"[A-Z]\d{12}[\dA-Z]", _IDENT),
    Number(
        "mx.curp",
        (18,),
        r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}\w\d",
        "curp",
        r"[A-Z]{4}\d{6}[A-Z]{6}\w\d",
    ),
    Number("mx.rfc", (13,), r"[A-ZÑ&]{4}\d{6}[A-Z0-9]{3}", "rfc|contribuyente"),
    Number(
        "my.nric",
        (12,),
        r"\d{12}",
        "kp|mykad|nric|ic|kad pengenalan|pengenalan",
        r"\d{6}-\d\d-\d{4}",
    ),
    Number("ng", (11,), r"\d{11}", "nin|national identification number"),
    Number("nl.bsn", (8, 9), r"\d{8,9}", "bsn|burgerservice|sofi"),
    Number("no.fodselsnummer", (11,), r"\d{11}", "fødselsn|fodselsn|personnummer|fnr|dnr|d nummer"),
    Number("nz.ird", (8, 9), r"\d{8,9}", "ird|inland revenue"),
    Number("pe", (8,), r"\d{8}", "dni|documento de identidad"),
    Number(
        "ph",
        (9, 10, 12, 16),
        r"\d{9}|\d{10}|\d{12}|\d{16}",
        "philsys|philid|sss|tin|psn|umid|philhealth|pag ibig",
    ),
    Number("pk.cnic", (13,), r"\d{13}", "cnic|nadra|شناختی", r"\d{5}-\d{7}-\d"),
    Number("pl.pesel", (11,), r"\d{11}", "pesel"),
    Number("pl.nip", (10,), r"\d{10}", "nip"),
    Number(
        "pt.nif",
        (9,),
        r"[1-3]\d{8}|45\d{7}",
        "nif|contribuinte|identificacao fiscal|finanças|financas",
    ),
    Number("pt.cc", (12,), r"\d{9}[A-Z0-9]{2}\d", "cidadao|cc|cartao"),
    Number("ro.cnp", (13,), r"[1-9]\d{12}", "cnp|cod numeric|codul numeric"),
    Number("ru.inn", (12,), r"\d{12}", "инн|inn|налогоплательщик"),
    Number("ru.snils", (11,), r"\d{11}", "снилс|snils|пенсионн", r"\d{3}-\d{3}-\d{3}[ -]\d\d"),
    Number(
        "sa", (10,), r"[12]\d{9}", "هوية|هويتي|هويته|اقامة|إقامة|iqama|الهوية|السجل المدني|saudi id"
    ),
    Number(
        "se.personnummer",
        (10, 12),
        r"(?:19|20)?\d{6}[-+]?\d{4}",
        "personnummer|personnr|pnr|samordningsnummer",
        r"(?:19|20)?\d{6}[-+]\d{4}",
    ),
    Number("sg", (9,), r"[STFGM]\d{7}[A-Z]", "nric|fin", r"[STFGM]\d{7}[A-Z]"),
    Number("si.emso", (13,), r"\d{13}", _BALKANS),
    Number(
        "th.pin",
        (13,),
        r"\d{13}",
        "บัตรประชาชน|ประจำตัวประชาชน|เลขประจำตัว|thai id",
        r"\d[- ]\d{4}[- ]\d{5}[- ]\d\d[- ]\d",
    ),
    Number("tr.tckimlik", (11,), r"[1-9]\d{10}", "kimlik|tckn|tc no|tc kimlik|tc|vatandas"),
    Number("tw", (10,), r"[A-Z][1289]\d{8}", "身分證|身份證|統一證號|居留證|國民"),
    Number("ua.rntrc", (10,), r"\d{10}", "рнокпп|іпн|ідентифікаційний|инн|податков|rnokpp|ipn"),
    Number("us.itin", (9,), r"9\d{8}", "itin|individual taxpayer", r"9\d\d-\d\d-\d{4}"),
    Number("uy", (8,), r"\d{8}", "cedula|ci|documento|identidad"),
    Number("ve", (7, 8, 9), r"[VE]\d{6,8}", _CEDULA),
    Number("vn", (12,), r"0\d{11}", "cccd|can cuoc|căn cước|cmnd|dinh danh|định danh"),
    Number("za.idnr", (13,), r"\d{13}", _IDENT),
)
