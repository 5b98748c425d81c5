"""Where the places of the holiday homes are: latitude and longitude in degrees."""

from __future__ import annotations

PLACES = {
    "Naxos": (37.10, 25.38), "Algarve": (37.10, -8.30), "Amalfi": (40.63, 14.60),
    "Hvar": (43.17, 16.44), "Cornwall": (50.30, -5.05), "Menorca": (39.95, 4.05),
    "Brittany": (48.20, -3.60), "Madeira": (32.75, -16.98), "Chamonix": (45.92, 6.87),
    "Zermatt": (46.02, 7.75), "Cortina": (46.54, 12.14), "Zakopane": (49.30, 19.95),
    "Innsbruck": (47.26, 11.39), "Aosta": (45.74, 7.32), "Andorra": (42.51, 1.52),
    "Bansko": (41.84, 23.49), "Como": (45.81, 9.09), "Garda": (45.57, 10.71),
    "Bled": (46.37, 14.11), "Annecy": (45.90, 6.13), "Ohrid": (41.12, 20.80),
    "Windermere": (54.38, -2.91), "Lucerne": (47.05, 8.31), "Balaton": (46.83, 17.73),
    "Tuscany": (43.45, 11.20), "Provence": (43.90, 5.80), "Alentejo": (38.57, -7.91),
    "Cotswolds": (51.83, -1.83), "Dordogne": (45.10, 0.75), "Umbria": (42.95, 12.55),
    "Burgundy": (47.05, 4.40), "Rioja": (42.45, -2.45), "Dalarna": (60.90, 14.60),
    "Ardennes": (50.20, 5.60), "Lapland": (67.90, 24.00), "Bohemia": (49.20, 13.60),
    "Karelia": (62.80, 30.50), "Vosges": (48.05, 7.00), "Harz": (51.75, 10.65),
    "Black Forest": (48.00, 8.15), "Lisbon": (38.72, -9.14), "Vienna": (48.21, 16.37),
    "Paris": (48.86, 2.35), "Rome": (41.90, 12.50), "Berlin": (52.52, 13.40),
    "Porto": (41.15, -8.61), "Prague": (50.08, 14.43), "Seville": (37.39, -5.99),
}  # fmt: skip
