#!/usr/bin/env python3
"""Makes the data of `stockhold demo` from the "Online Retail" file.

    tools/demo-data.py online-retail.csv.gz src/cli/demo

Products, quantities, prices and the times between orders are real (CC0); names of people and the
addresses of the warehouses are made up. The result depends on the file alone: there is no randomness.
"""

import csv
import gzip
import hashlib
import re
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

PRODUCTS = 300
ORDERS = 260
WEEKS = 4
MOST_PER_CATEGORY = 40
MOST_UNITS = 36
MOST_LINES = 9
# Codes that look like goods: a voucher and a carriage charge.
NO_GOODS = {"22016", "23444"}
WAREHOUSES = ("LON", "MAN", "RTM")
MARKET_WAREHOUSES = ("LON", "RTM")

# The first rule that matches decides; what is particular comes before what is common.
CATEGORIES = [
    ("Textiles", "hot water bottle|hottie|hand warmer|cushion|doormat|towel|quilt|blanket|curtain|scarf|slipper|umbrella"),
    ("Garden", "garden|kneeling pad|plant|herb|watering|parasol|trowel|bird|windmill|picnic"),
    ("Christmas", "christmas|xmas|advent|santa|reindeer|snowflake|bauble|cracker|wreath|sleigh|stocking|jingle"),
    ("Wall and door", "metal sign|wicker|mirror|clock|chocolate sign|frame|folkart|hanging quilted|hanging heart$"),
    ("Bags", "bag|shopper|purse|satchel|backpack|suitcase|mini cases|wallet|passport cover|luggage"),
    ("Crafts", "feltcraft|felt craft|knitting|sewing|craft"),
    ("Stationery", "notebook|note books|exercise books|notepad|pencil|ruler|wrap|(birthday )?card|ribbon|envelope|sticker"
     "|journal|album|stationery|memo|magnet|gift tag|tissue|eraser|sharpener|chalkboard|blackboard|black board"),
    ("Party", "party|bunting|balloon|cake cases|cake frill|paper chain|streamer|doiley|doily|doilies|napkin|candles|birthday"),
    ("Lighting and candles", "candle|t-light|lantern|lights?|lamp|incense"),
    ("Bath and beauty", "soap|bath|plasters|lip gloss|washbag|hair|nail"),
    ("Toys and games", "toy|game|doll|puzzle|dominoes|skittle|colouring|crayon|skipping|soldier|spinning tops|harmonica"
     "|modelling clay|paint set|building block|heads and tails|snap"),
    ("Storage", "trinket box|coat rack|hook|hanger|storage|chest|holder|shelf|drawer|cabinet|basket|key holder"),
    ("Kitchen and dining", "mug|cup|bowl|plate|cake|baking|kitchen|recipe|jar|tin|tea|coffee|jug|apron|lunch box|snack|tray"
     "|coaster|bottle|glass|teapot|pantry|jam|scales|biscuit|cookie|popcorn|bread|jelly|doughnut"),
    ("Wall and door", "sign|picture|door|wall|hanging|heart|decoration|letter"),
]
COLOURS = "red|pink|blue|green|white|black|ivory|cream|silver|gold|yellow|purple|lilac|orange|turquoise|grey|brown"
MATERIALS = {
    "metal": "metal", "wood|wooden": "wood", "glass": "glass", "ceramic": "ceramic", "paper": "paper",
    "cotton": "cotton", "enamel": "enamel", "tin": "tin", "porcelain": "porcelain", "wicker": "wicker",
    "zinc": "zinc", "felt": "felt", "knitted": "wool", "feltcraft": "felt", "willow": "willow",
}
PATTERNS = {
    "retrospot": "retrospot", "polkadot": "polkadot", "stripe|stripey|stripes": "stripes", "rose|roses": "roses",
    "heart|hearts": "hearts", "star|stars": "stars", "paisley": "paisley", "strawberry": "strawberries",
    "spaceboy": "spaceboy", "dolly girl": "dolly girl", "union jack|union flag": "union flag", "owl|owls": "owls",
    "skull|skulls": "skulls", "woodland": "woodland", "apple|apples": "apples", "butterfly": "butterflies",
    "floral|flower|flowers|blossom": "flowers", "circus": "circus", "leaf|leaves": "leaves",
}
SIZES = {"mini": "mini", "small": "small", "medium": "medium", "large": "large", "jumbo": "jumbo", "big": "large"}
SMALL_WORDS = {"of", "and", "with", "in", "for", "the", "to", "a", "on", "or", "at", "no"}
CAPITALS = {"uk", "usb", "led", "ii", "tv", "dvd", "cd"}

FIRST_NAMES = """Amelia Oliver Priya George Freya Noah Zara Arthur Isla Mohammed Ava Leo Chloe Oscar Grace Theo
Maya Jack Ella Finn Sofia Harry Niamh Lucas Ines Emil Anneke Mathieu Lena Pablo Ingrid Joao Saoirse Tomas Camille
Jonas Elin Marta Rory Hannah""".split()
LAST_NAMES = """Hughes Patel Clarke Morgan Bennett Ahmed Fraser Walsh Turner Okafor Reid Shah Marsh Ellis Doyle
Lindqvist Moreau Keller Jansen Garcia Hansen Pereira Murphy Novak Dubois Weber Berg Silva Byrne Foster Kaur Palmer
Wells Hart Nolan Grant Pryce Bishop Quinn Lowe""".split()
# Country of the file: ISO code, then cities with postal code, latitude and longitude.
CITIES = {
    "United Kingdom": ("GB", [("London", "E8 1HR", 51.545, -0.056), ("Manchester", "M4 5JD", 53.484, -2.231),
                              ("Bristol", "BS6 5JY", 51.466, -2.590), ("Edinburgh", "EH6 8NP", 55.970, -3.170),
                              ("Leeds", "LS6 3HN", 53.819, -1.570), ("Cardiff", "CF11 9XJ", 51.481, -3.200),
                              ("Norwich", "NR2 3NF", 52.631, 1.283), ("Brighton", "BN1 4GH", 50.829, -0.138),
                              ("Sheffield", "S7 1FW", 53.361, -1.486), ("Newcastle upon Tyne", "NE2 1QX", 54.989, -1.606)]),
    "Germany": ("DE", [("Hamburg", "22765", 53.554, 9.929), ("Berlin", "10999", 52.499, 13.428),
                       ("München", "80469", 48.131, 11.571)]),
    "France": ("FR", [("Paris", "75011", 48.859, 2.379), ("Lyon", "69004", 45.778, 4.826), ("Lille", "59800", 50.633, 3.066)]),
    "EIRE": ("IE", [("Dublin", "D08 X2A3", 53.338, -6.283), ("Cork", "T12 W8XR", 51.897, -8.475)]),
    "Netherlands": ("NL", [("Amsterdam", "1013 HD", 52.389, 4.884), ("Utrecht", "3511 LN", 52.091, 5.118)]),
    "Belgium": ("BE", [("Gent", "9000", 51.054, 3.722), ("Brussel", "1050", 50.827, 4.372)]),
    "Spain": ("ES", [("Barcelona", "08012", 41.403, 2.157), ("Madrid", "28004", 40.426, -3.703)]),
    "Portugal": ("PT", [("Lisboa", "1200-109", 38.711, -9.146)]),
    "Switzerland": ("CH", [("Zürich", "8004", 47.376, 8.527)]),
    "Norway": ("NO", [("Oslo", "0552", 59.925, 10.757)]),
    "Sweden": ("SE", [("Göteborg", "413 04", 57.697, 11.951)]),
    "Denmark": ("DK", [("København", "2200", 55.694, 12.549)]),
    "Austria": ("AT", [("Wien", "1070", 48.203, 16.349)]),
    "Italy": ("IT", [("Bologna", "40125", 44.490, 11.353)]),
    "Finland": ("FI", [("Helsinki", "00530", 60.184, 24.951)]),
    "Poland": ("PL", [("Kraków", "31-056", 50.051, 19.945)]),
}


def dice(*of, sides):
    """A number below `sides` that follows from the arguments."""
    text = "/".join(map(str, of)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") % sides


def title(text):
    text = re.sub(r"^[*\s]+|[.,\s]+$", "", text)
    text = re.sub(r"\bset/(\d+)|\bs/(\d+)", lambda m: f"set of {m[1] or m[2]}", text, flags=re.I)
    text = re.sub(r"\s*,\s*", ", ", re.sub(r"\s*\+\s*", " and ", re.sub(r"\s+", " ", text)))
    for short, long in (("hldr", "holder"), (r"(\d+) pc", r"\1 piece"), ("ant white", "antique white"), (r"of(\d)", r"of \1")):
        text = re.sub(rf"\b{short}\b" if short[-1] != ")" else rf"\b{short}", long, text, flags=re.I)
    words = []
    for at, word in enumerate(text.lower().split(" ")):
        if word in CAPITALS:
            words.append(word.upper())
        elif word in SMALL_WORDS and at:
            words.append(word)
        else:
            words.append(re.sub(r"(^|[-/&(])([a-z])", lambda m: m[1] + m[2].upper(), word))
    return " ".join(words)


def first_match(table, text):
    for words, value in table.items():
        if re.search(rf"\b({words})\b", text):
            return value
    return None


def category(name):
    text = name.lower()
    return next((label for label, words in CATEGORIES if re.search(rf"\b({words})", text)), "Home")


def attributes(name):
    text = name.lower()
    found = {
        "colour": (re.search(rf"\b({COLOURS})\b", text) or [None])[0],
        "material": first_match(MATERIALS, text),
        "pattern": first_match(PATTERNS, text),
        "size": first_match(SIZES, text),
        "style": "vintage" if "vintage" in text else "retro" if "retro" in text.split() else None,
    }
    pieces = re.search(r"\b(?:set|pack|box) ?(?:of)? ?(\d+)\b", text)
    if pieces:
        found["pieces"] = pieces[1]
    return {key: value for key, value in found.items() if value}


def gtin13(sku):
    letters = sum(ord(c) - 64 for c in sku[5:].upper())
    digits = f"20{sku[:5]}{letters:05d}"
    odd = sum(int(d) for d in digits[::2])
    even = sum(int(d) for d in digits[1::2])
    return f"{digits}{-(odd + 3 * even) % 10}"


def read(path):
    rows = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            code = row["StockCode"]
            if not re.fullmatch(r"\d{5}[A-Z]?", code) or code in NO_GOODS:
                continue
            row["units"] = int(row["Quantity"])
            row["pence"] = round(float(row["UnitPrice"]) * 100)
            row["at"] = datetime.fromisoformat(row["InvoiceDate"])
            rows.append(row)
    return rows


def choose_products(rows, since):
    """The best sold of the window with an honest name, so many of each category at most."""
    names, prices, packs, invoices = defaultdict(Counter), defaultdict(Counter), defaultdict(Counter), defaultdict(set)
    for row in rows:
        if row["pence"] > 0 and row["units"] > 0 and row["Description"]:
            code = row["StockCode"]
            names[code][row["Description"]] += 1
            prices[code][row["pence"]] += 1
            packs[code][row["units"]] += 1
            if row["at"] >= since and row["CustomerID"]:
                invoices[code].add(row["InvoiceNo"])
    products, taken, seen = {}, Counter(), set()
    for code in sorted(invoices, key=lambda code: (-len(invoices[code]), code)):
        name = title(names[code].most_common(1)[0][0])
        label = category(name)
        odd = not re.fullmatch(r"[A-Za-z0-9 ',&/()-]+", name) or len(name) < 8 or re.search(r"please|asst|assorted|pants", name, re.I)
        if odd or taken[label] >= MOST_PER_CATEGORY or name in seen or len(products) >= PRODUCTS:
            continue
        pack = next((size for size, _ in packs[code].most_common(3) if size in (6, 10, 12, 24, 25)), None)
        products[code] = {
            "sku": code, "name": name, "category": label, "pence": prices[code].most_common(1)[0][0],
            "pack": pack, "main": ("LON", "LON", "LON", "MAN", "MAN", "RTM")[dice(code, "main", sides=6)],
        }
        taken[label] += 1
        seen.add(name)
    return products


def choose_orders(rows, products, since, last):
    invoices = defaultdict(list)
    for row in rows:
        ordinary = row["InvoiceNo"].isdigit() and row["CustomerID"] and row["units"] > 0
        if ordinary and row["at"] >= since and row["StockCode"] in products and row["Country"] in CITIES:
            invoices[row["InvoiceNo"]].append(row)
    usable = {}
    for number, lines in invoices.items():
        quantities = Counter()
        for line in lines:
            quantities[line["StockCode"]] += line["units"]
        keep = [(sku, units) for sku, units in quantities.items() if units <= MOST_UNITS]
        keep.sort(key=lambda line: dice(number, line[0], sides=1000))
        if keep:
            most = 1 + dice(number, "lines", sides=MOST_LINES)
            usable[number] = {"order": number, "at": lines[0]["at"], "customer": lines[0]["CustomerID"],
                              "country": lines[0]["Country"], "lines": keep[:most]}
    # Countries other than the United Kingdom are rare: take a larger share of them.
    ranked = sorted(usable.values(), key=lambda o: (dice(o["order"], "pick", sides=1000)
                                                    * (0.4 if o["country"] != "United Kingdom" else 1), o["order"]))
    recent = [order for order in usable.values() if last - order["at"] < timedelta(hours=30)][-14:]
    chosen = {order["order"]: order for order in recent + ranked[:ORDERS - len(recent)]}
    return sorted(chosen.values(), key=lambda order: (order["at"], order["order"]))


def shape_orders(orders, products, last, scarce, backorder, preorder):
    """Channel and fate of each order."""
    for order in orders:
        age = last - order["at"]
        order["minutes_ago"] = int(age.total_seconds() // 60) + 4
        lines = [(sku, units) for sku, units in order["lines"] if sku != preorder or age < timedelta(days=7)]
        market = dice(order["order"], "channel", sides=100) < 32
        servable = [line for line in lines if products[line[0]]["main"] in MARKET_WAREHOUSES
                    and line[0] not in scarce | {preorder, *backorder}]
        order["channel"], order["lines"] = ("MARKET", servable) if market and servable else ("WEB", lines)
        luck = dice(order["order"], "fate", sides=100)
        if age < timedelta(hours=6) or (age < timedelta(hours=30) and luck < 45) or (age < timedelta(days=4) and luck < 8):
            order["fate"] = "open"
        elif luck >= 98:
            order["fate"] = "cancelled"
        else:
            order["fate"] = "shipped"
        wait = 90 + dice(order["order"], "wait", sides=1500)
        order["shipped_minutes_ago"] = max(order["minutes_ago"] - wait, 2)
        arrives = order["shipped_minutes_ago"] - 1440 - dice(order["order"], "post", sides=4000)
        order["delivered_minutes_ago"] = arrives if order["fate"] == "shipped" and arrives > 0 else ""
    return [order for order in orders if order["lines"]]


def demand(orders):
    units, of_market = Counter(), Counter()
    for order in orders:
        for sku, count in order["lines"]:
            units[sku] += count
            if order.get("channel") == "MARKET":
                of_market[sku] += count
    return units, of_market


def stock(products, orders, low, out, backorder, preorder):
    """Opening stock and deliveries such that every order is served from the product's main warehouse."""
    units, _ = demand(orders)
    rows = []
    for sku, product in products.items():
        sold = units[sku]
        if sku == preorder:
            continue
        if sku in backorder:
            rows.append([sku, product["main"], sold * 6 // 10, 0, 12, 0])
            continue
        if sku in out:
            rows.append([sku, product["main"], sold, 0, 12, 0])
            continue
        if sku in low:
            left = 1 + dice(sku, "left", sides=7)
            rows.append([sku, product["main"], sold + left, 0, 10 + dice(sku, "point", sides=15), 0])
            continue
        cheap = 4 if product["pence"] < 150 else 2 if product["pence"] < 500 else 1
        left = (30 + dice(sku, "left", sides=60)) * cheap
        delivery = (left // 24) * 12 if dice(sku, "delivery", sides=3) == 0 else 0
        point = max(6, left // 5)
        rows.append([sku, product["main"], sold + left - delivery, delivery, point, 2 if cheap == 1 else 0])
        for warehouse in WAREHOUSES:
            if warehouse != product["main"] and dice(sku, warehouse, "also", sides=10) < 4:
                some = (12 + dice(sku, warehouse, "units", sides=30)) * cheap
                rows.append([sku, warehouse, some, 0, max(4, some // 6), 0])
    return rows


def substitutes(products, scarce):
    words = {sku: set(product["name"].lower().split()) - SMALL_WORDS for sku, product in products.items()}
    found = {}
    for sku in scarce:
        def likeness(other):
            same = products[other]["category"] == products[sku]["category"]
            return (len(words[sku] & words[other]) + 1.5 * same, -abs(products[sku]["pence"] - products[other]["pence"]), other)
        others = sorted((other for other in products if other not in scarce), key=likeness, reverse=True)
        found[sku] = others[:3]
    return found


def returns(orders, healthy):
    """Every fourteenth order that arrived sends part of a line back."""
    rows = []
    shipped = [o for o in orders if (o["delivered_minutes_ago"] or 0) > 3 * 1440]
    for at, order in enumerate(shipped[::14]):
        line = next((line for line in order["lines"] if line[0] in healthy), None)
        if line:
            disposition = ("restock", "restock", "quarantine", "scrap")[at % 4]
            reason = ("Changed their mind", "Ordered twice", "Box opened", "Broken in the post")[at % 4]
            back = max(1, line[1] // 3)
            rows.append([order["order"], line[0], back, disposition, reason,
                         order["delivered_minutes_ago"] - 1440 - dice(order["order"], "back", sides=2 * 1440)])
    return rows


def plenty(products, rows, healthy):
    """Products with much left in their main warehouse after all orders."""
    spare = {row[0]: row[4] * 5 for row in rows if row[1] == products[row[0]]["main"]}
    found = [sku for sku in sorted(healthy) if spare.get(sku, 0) >= 30]
    return sorted(found, key=lambda sku: dice(sku, "plenty", sides=100_000))


def transfers(products, supply):
    """One in transit, one received in part, one still a draft, each of three products."""
    rows = []
    for state, source, target in (("in_transit", "LON", "RTM"), ("partly_received", "LON", "MAN"), ("draft", "MAN", "LON")):
        skus = [sku for sku in supply if products[sku]["main"] == source][:3]
        for sku in skus:
            supply.remove(sku)
            rows.append([state.replace("_", "-"), source, target, state, sku, 6 + dice(sku, "transfer", sides=3) * 3])
    return rows


def conditions(products, supply):
    """Stock that is there and not for sale."""
    notes = [("damaged", "Crushed in the lorry"), ("damaged", "Water under the shelf"), ("damaged", "Chipped"),
             ("quality_control", "Colours differ from the sample"), ("quality_control", "New supplier, first batch"),
             ("damaged", "Fell off the pallet")]
    return [[sku, products[sku]["main"], 2 + dice(sku, "condition", sides=5), condition, note]
            for (condition, note), sku in zip(notes, [supply.pop(0) for _ in notes])]


def carts(supply):
    """Carts of shoppers who are still looking: some for an hour, some for a week."""
    hours = (1, 2, 4, 24, 72, 168, 168)
    rows = []
    for number, hour in enumerate(hours):
        for _ in range(1 + number % 3):
            sku = supply.pop(0)
            rows.append([f"cart-{4711 + 83 * number}", hour * 3600, sku, 1 + dice(sku, "cart", sides=4)])
    return rows


def people(orders):
    rows, seen = [], {}
    for order in orders:
        number = order["customer"]
        if number in seen:
            continue
        first = FIRST_NAMES[dice(number, "first", sides=len(FIRST_NAMES))]
        last = LAST_NAMES[dice(number, "last", sides=len(LAST_NAMES))]
        country, cities = CITIES[order["country"]]
        city = cities[dice(number, "city", sides=len(cities))]
        seen[number] = True
        email = f"{first}.{last}.{number}@example.com".lower()
        rows.append([number, f"{first} {last}", email, city[0], city[1], country, city[2], city[3]])
    return rows


def write(folder, name, header, rows):
    with open(folder / name, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"{name}: {len(rows)} rows, {(folder / name).stat().st_size:,} bytes")


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    rows = read(source)
    last = max(row["at"] for row in rows)
    since = last - timedelta(weeks=WEEKS)
    products = choose_products(rows, since)
    orders = choose_orders(rows, products, since, last)
    last = orders[-1]["at"]

    units, _ = demand(orders)
    ranked = sorted((sku for sku in products if units[sku] >= 12), key=lambda sku: dice(sku, "scarce", sides=10_000))
    late = Counter(sku for order in orders if last - order["at"] < timedelta(days=7) for sku, _ in order["lines"])
    preorder = max((sku for sku in ranked if products[sku]["category"] == "Christmas"), key=lambda sku: (late[sku], sku))
    ranked.remove(preorder)
    backorder = sorted(ranked, key=lambda sku: (-late[sku], sku))[:2]
    rest = [sku for sku in ranked if sku not in backorder]
    out, low = set(rest[:9]), set(rest[9:35])
    scarce = out | low

    orders = shape_orders(orders, products, last, scarce, backorder, preorder)
    similar = substitutes(products, scarce | {preorder, *backorder})
    sold, of_market = demand(orders)
    assert not any(of_market[sku] for sku in scarce)
    healthy = set(products) - scarce - {preorder, *backorder}

    write(folder, "products.csv",
          ["sku", "name", "category", "price_pence", "barcode", "pack", "attributes", "substitutes", "backorder_limit", "preorder_limit"],
          [[sku, p["name"], p["category"], p["pence"], gtin13(sku), p["pack"] or "",
            ";".join(f"{key}={value}" for key, value in attributes(p["name"]).items()),
            " ".join(similar.get(sku, [])), 120 if sku in backorder else "", 150 if sku == preorder else ""]
           for sku, p in sorted(products.items())])
    supply_rows = stock(products, orders, low, out, backorder, preorder)
    write(folder, "stock.csv", ["sku", "warehouse", "opening", "delivered", "reorder_point", "safety_stock"], supply_rows)
    spare = plenty(products, supply_rows, healthy)
    write(folder, "transfers.csv", ["transfer", "from", "to", "state", "sku", "quantity"], transfers(products, spare))
    write(folder, "conditions.csv", ["sku", "warehouse", "quantity", "condition", "note"], conditions(products, spare))
    write(folder, "carts.csv", ["owner", "ttl_seconds", "sku", "quantity"], carts(spare))
    write(folder, "customers.csv", ["reference", "name", "email", "city", "postal_code", "country", "latitude", "longitude"], people(orders))
    write(folder, "orders.csv", ["reference", "channel", "customer", "minutes_ago", "fate", "shipped_minutes_ago", "delivered_minutes_ago", "lines"],
          [[o["order"], o["channel"], o["customer"], o["minutes_ago"], o["fate"], o["shipped_minutes_ago"], o["delivered_minutes_ago"],
            " ".join(f"{sku}:{count}" for sku, count in o["lines"])] for o in orders])
    write(folder, "returns.csv", ["order", "sku", "quantity", "disposition", "reason", "minutes_ago"], returns(orders, healthy))
    print("pre-order", preorder, "backorder", backorder, "out", sorted(out), Counter(o["fate"] for o in orders),
          Counter(o["channel"] for o in orders), Counter(p["category"] for p in products.values()))


if __name__ == "__main__":
    main()
