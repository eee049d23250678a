"""Pure money and decision code. It computes; it never looks anything up.

``rounding``     the one rounding rule
``cost``         what a render cost: GPU, API, storage, bandwidth
``pricing``      what a user pays: base price, quality premium, speed premium
``ledger``       which transfer a movement of money is, and the rules an audit checks
``audit``        adds a whole ledger up again
``failures``     what follows from a failed attempt: retry, blame, who pays
``prediction``   how far predicted and measured render times are apart
``throttling``   how many renders at once a provider can stand
``windows``      sums over the last hour, day and week, and their margins
``drift``        CUSUM and the modified z-score, published run lengths
``statistics``   what is known of each provider at each effect, old news fading
``utility``      how quality, cost and time are weighed against each other
``policy``       from statistics to the routing manifest
``changes``      what a manifest changes, in words
``exploration``  exactly one explored job in each block of twenty
``routing``      from manifest and job to the providers to try
"""
